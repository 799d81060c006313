"""asr: how well a recogniser still understands the reconstruction, by CMU Pocketsphinx.

`wer` compares with the clip's text, `dwer` with what the recogniser hears in the reference.
Pocketsphinx errs far more often than Whisper: its WERs compare codecs with each other and with the
reference's own row, not with published WERs. `wer_closed` (only where the corpus has a closed
grammar) chooses among the sentences of that grammar: closed-vocabulary WER, much lower, never to
be set beside the other. Of a corpus, rates are all errors by all words. Clips of a corpus with
texts or speakers that have neither (music, sounds) are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.asr import normalise, sphinx
from audiotok.errors import AudiotokError
from audiotok.tasks import Column, Item, Task, _words

if TYPE_CHECKING:
    import pandas

    from audiotok.data import Corpus
    from audiotok.tokens import Tokens

CLOSED = Column("wer_closed", "", False, 3, "closed-vocabulary WER: pocketsphinx with a grammar")
WORDS = Column("words", "", None, 0, "words of the text")


class Asr(Task):
    """WER and dWER by pocketsphinx."""

    name = "asr"
    version = 1

    def __init__(self):
        self.grammar: str | None = None
        self.silent: frozenset[str] = frozenset()  # ids of clips where no speech is expected

    @property
    def columns(self) -> tuple[Column, ...]:
        closed = (CLOSED,) if self.grammar else ()
        return (*_words.columns("", "pocketsphinx en-us"), *closed, WORDS)

    def available(self) -> str | None:
        return str(error) if (error := sphinx.missing()) is not None else None

    def prepare(self, corpus: Corpus) -> None:
        self.grammar = corpus.grammar
        self.silent = frozenset(clip.id for clip in corpus if not corpus.is_speech(clip))

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        if item.clip.id in self.silent:
            return {}
        row = _words.score(sphinx.Sphinx(), item, "")
        if item.clip.text:
            row["words"] = float(len(normalise(item.clip.text).split()))
            if self.grammar:
                heard = _words.hear(sphinx.Sphinx(self.grammar), item.reconstruction)
                row["wer_closed"] = _words.rate(item.clip.text, heard)
        return row

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        return (
            _words.micro_average(rows, "wer", "words")
            | _words.micro_average(rows, "dwer", "words_heard")
            | _words.micro_average(rows, "wer_closed", "words")
        )
