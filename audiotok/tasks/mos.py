"""mos: opinion scores that networks predict, of the reconstruction alone: `audiotok.judges.mos`.

The columns of a predictor are left out if its package or weights are missing. Compare with the row
of the reference: a predictor does not use a reference, and a codec may get a higher score. Clips of
a corpus with texts or speakers that have neither (music, sounds) are left out: all predictors rate
speech.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.errors import AudiotokError
from audiotok.judges import mos
from audiotok.tasks import Column, Item, Task

if TYPE_CHECKING:
    from audiotok.data import Corpus


class Mos(Task):
    """All predictors of `audiotok.judges.mos` that can run here.

    Nothing is ranked: a decoder that gives the same clean sentence for all codes would come first,
    since the predictors use no reference.
    """

    name = "mos"
    version = 1
    ranked = ()

    def __init__(self):
        self.names = mos.names()
        self.non_speech: frozenset[str] = frozenset()  # ids of clips where no speech is expected

    @property
    def _predictors(self) -> list[mos.Predictor]:
        return [p for p in map(mos.get, self.names) if p.missing() is None]

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(column for p in self._predictors for column in p.columns)

    @property
    def identity(self) -> dict[str, str]:
        return {key: value for p in self._predictors for key, value in p.identity.items()}

    def available(self) -> str | None:
        return None if self._predictors else "; ".join(dict.fromkeys(self.left_out().values()))

    def left_out(self) -> dict[str, str]:
        return {
            column.name: str(error)
            for predictor in map(mos.get, self.names)
            if (error := predictor.missing()) is not None
            for column in predictor.columns
        }

    def unsuited(self, corpus: Corpus) -> str | None:
        return corpus.no_speech()

    def prepare(self, corpus: Corpus) -> None:
        self.non_speech = frozenset(clip.id for clip in corpus if not corpus.is_speech(clip))

    def score(self, item: Item) -> dict[str, float | AudiotokError]:
        if item.clip.id in self.non_speech:
            return {}
        row: dict[str, float | AudiotokError] = {}
        for predictor in self._predictors:
            try:
                row |= predictor(item.reconstruction)
            except AudiotokError as error:
                row |= {column.name: error for column in predictor.columns}
        return row
