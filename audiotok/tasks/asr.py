"""asr: word error rates of a recogniser on the reconstruction, by CMU Pocketsphinx.

`wer` (words) and `cer` (characters) compare with the clip's text, `dwer` with the transcript of the
reference. Pocketsphinx makes far more errors than Whisper: compare its WERs between codecs and with
the row of the reference, not with published WERs. `wer_closed` (only if the corpus has a closed
grammar) is the closed-vocabulary WER, where the recogniser chooses among the sentences of that
grammar; it is much lower and not comparable with `wer`. The rates of a corpus are all errors by all
words or characters. Clips of a corpus with texts or speakers that have neither (music, sounds) are
left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.errors import AudiotokError
from audiotok.judges.asr import sphinx, unfit
from audiotok.judges.asr.sphinx import Sphinx
from audiotok.tasks import Column, Item, _words

if TYPE_CHECKING:
    from audiotok.data import Corpus

CLOSED = Column("wer_closed", "", False, 3, "closed-vocabulary WER: pocketsphinx with a grammar")


class Asr(_words.Recognition):
    """WER, CER and dWER by pocketsphinx. Ranked: the WER, see `_words.Recognition`."""

    name = "asr"
    version = 2  # CER
    ranked = ("wer",)
    WEIGHTS = _words.Recognition.WEIGHTS | {"wer_closed": "words"}

    def __init__(self):
        super().__init__(Sphinx())
        self.grammar: str | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        return super().columns + ((CLOSED,) if self.grammar else ())

    def unsuited(self, corpus: Corpus) -> str | None:
        english = [c.text for c in corpus if c.text and not unfit(self.recogniser, c)]
        return super().unsuited(corpus) or sphinx.unsuited(english)

    def prepare(self, corpus: Corpus) -> None:
        super().prepare(corpus)
        self.grammar = corpus.grammar

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        row = super().score(item)
        text = item.clip.text
        if row and self.grammar and text and not unfit(self.recogniser, item.clip):
            transcript = _words.transcribe(Sphinx(self.grammar), item.reconstruction)
            row["wer_closed"] = _words.rate(text, transcript)
        return row
