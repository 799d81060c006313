"""mos: opinion scores (MOS) of the reconstruction, predicted by networks without a reference.

A predictor whose package or weights are missing leaves its columns out. Compare with the row of the
reference: a predictor does not see the original, so a codec may score higher than the original. All
predictors rate speech; in a corpus where some clips have a text or a speaker, clips that have
neither (music, sounds) are left out.
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

    Nothing is ranked: a decoder that says the same clean sentence whatever the codes are would come
    first, for the predictors know no reference.
    """

    name = "mos"
    version = 1
    ranked = ()

    def __init__(self):
        self.names = mos.names()
        self.silent: frozenset[str] = frozenset()  # ids of clips where no speech is expected

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
        self.silent = frozenset(clip.id for clip in corpus if not corpus.is_speech(clip))

    def score(self, item: Item) -> dict[str, float | AudiotokError]:
        if item.clip.id in self.silent:
            return {}
        row: dict[str, float | AudiotokError] = {}
        for predictor in self._predictors:
            try:
                row |= predictor(item.reconstruction)
            except AudiotokError as error:
                row |= {column.name: error for column in predictor.columns}
        return row
