"""asr: how well an ASR model understands the reconstruction, by CMU Pocketsphinx.

`wer` (words) and `cer` (characters) are error rates against the text of the clip, `dwer` against
what the ASR model recognises in the original recording. Pocketsphinx makes far more errors than
Whisper: use its WER to compare codecs with each other and with the row of the reference, never with
published WERs. `wer_closed` (only for corpora with a closed grammar) is the WER if the ASR model
may only choose among the sentences of that grammar; it is much lower and not comparable with the
others. The rates of a corpus are all errors divided by all words or characters. In a corpus where
some clips have a text or a speaker, clips that have neither (music, sounds) are left out.
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
            heard = _words.hear(Sphinx(self.grammar), item.reconstruction)
            row["wer_closed"] = _words.rate(text, heard)
        return row
