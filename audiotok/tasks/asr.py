"""asr: word error rates of a recogniser on the reconstruction, by CMU Pocketsphinx.

`wer` (words) and `cer` (characters) compare with the clip's text, `dwer` with the transcript of the
reference. Pocketsphinx makes far more errors than Whisper: compare its WERs between codecs and with
the row of the reference, not with published WERs. If the corpus has a closed grammar, the task
computes only `wer_closed`, the closed-vocabulary WER, where the recogniser chooses among the
sentences of that grammar: it is much lower, not comparable with `wer`, and many times faster, above
all on noise. The rates of a corpus are all errors by all words or characters. Clips of a corpus
with texts or speakers that have neither (music, sounds) are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.errors import AudiotokError, MetricError
from audiotok.judges.asr import normalise, sphinx, unfit
from audiotok.judges.asr.sphinx import Sphinx
from audiotok.tasks import Column, Item, _words

if TYPE_CHECKING:
    from audiotok.data import Corpus

CLOSED = Column("wer_closed", "", False, 3, "closed-vocabulary WER: pocketsphinx with a grammar")


class Asr(_words.Recognition):
    """WER, CER and dWER by pocketsphinx. Ranked: the WER, see `_words.Recognition`."""

    name = "asr"
    version = 2  # CER
    ranked = ("wer", "wer_closed")  # a corpus has one of them
    WEIGHTS = _words.Recognition.WEIGHTS | {"wer_closed": "words"}

    def __init__(self):
        super().__init__(Sphinx())
        self.grammar: str | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        if self.grammar is None:
            return super().columns
        return (CLOSED, *(column for column in super().columns if column.name == "words"))

    def unsuited(self, corpus: Corpus) -> str | None:
        english = [c.text for c in corpus if c.text and not unfit(self.recogniser, c)]
        return super().unsuited(corpus) or sphinx.unsuited(english)

    def prepare(self, corpus: Corpus) -> None:
        super().prepare(corpus)
        self.grammar = corpus.grammar

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        if self.grammar is None:
            return super().score(item)
        text = item.clip.text
        if item.clip.id in self.non_speech or not text:
            return {}
        if reason := unfit(self.recogniser, item.clip):
            return {"wer_closed": MetricError(reason)}
        transcript = _words.transcribe(Sphinx(self.grammar), item.reconstruction)
        words = float(len(normalise(text).split()))
        closed = _words.rate(text, transcript)
        return {"transcript": transcript, "wer_closed": closed, "words": words}
