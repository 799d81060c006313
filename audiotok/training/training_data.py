"""The data of a run: crops to train on, recordings to validate on, and unreadable ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from audiotok.training import sounds
from audiotok.training.crops import Crops
from audiotok.training.index import make_index
from audiotok.training.loader import batches
from audiotok.training.processes import ProcessGroup
from audiotok.training.recipe import Recipe
from audiotok.training.validation import Validation

_ENDLESS = 2**31  # passes: more than any run has


class TrainingData:
    """Recordings of a recipe: those to train on and those to validate on.

    Args:
        channels: of the waveforms.
        cache: file that keeps the lengths of the recordings.

    Raises:
        AudiotokError: there is no such corpus, nothing in it can be opened, or it is too small.
    """

    def __init__(self, recipe: Recipe, channels: int, group: ProcessGroup, cache: Path):
        settings, rate = recipe.data, recipe.model.sample_rate
        self.recipe, self.group = recipe, group
        corpus = sounds.load_all(settings)
        train, validation = sounds.split_speakers(corpus, settings, recipe.seed)
        index = group.in_main(lambda: make_index(corpus, train, cache))
        if index is None:  # another process computed it; on another machine there is no cache
            index = make_index(corpus, train, cache if cache.exists() else None)
        self.crops = Crops(
            corpus, index, settings, sample_rate=rate, channels=channels, seed=recipe.seed
        )
        held_out = corpus
        if settings.validation is not None:
            held_out = sounds.load(settings.validation)
            validation = list(range(len(held_out.ids)))[: settings.validation_clips]
        seconds = settings.validation_seconds
        self.validation = Validation(
            held_out,
            validation,
            seconds=seconds,
            sample_rate=rate,
            channels=channels,
            metrics=settings.validation_metrics,
        )
        self.broken: set[str] = set(index.broken)
        self.reported: set[str] = set()  # those that were reported
        self.digest = index.digest
        self.facts: dict[str, Any] = {
            "Corpus": " and ".join(settings.corpora),
            "Recordings": len(index.numbers),
            "Speakers": len({corpus.speakers[number] for number in index.numbers}),
            "Hours": round(float(index.seconds.sum()) / 3600, 2),
            "Recordings to validate on": len(validation),
        }

    def batches(self, step: int, endless: bool = False) -> Iterator[Tensor]:
        """Batches (B, C, samples) of each pass from a step on; with `endless`, also after the
        last."""
        per_step = self.recipe.accumulate
        last = _ENDLESS if endless else self.recipe.steps * per_step
        return batches(
            self.crops,
            step * per_step,
            last,
            broken=self.broken,
            rank=self.group.rank,
            count=self.group.count,
        )

    def note_broken(self, note: Callable[[str], None]) -> None:
        """Reports recordings that cannot be read, each once."""
        if unreported := sorted(self.broken - self.reported):
            names = ", ".join(unreported[:10]) + (", ..." if len(unreported) > 10 else "")
            note(f"{len(unreported)} recordings cannot be read and are left out: {names}")
            self.reported |= set(unreported)
