"""Reconstruction: quality of the reconstruction, by every metric that can be computed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiotok import metrics
from audiotok.errors import AudiotokError
from audiotok.tasks import Column, Item, Task

if TYPE_CHECKING:
    from audiotok.data import Corpus


class Reconstruction(Task):
    """All metrics of `audiotok.metrics`, or the chosen ones; columns of a missing package are left
    out.

    If one metric has no value, the others are not affected. Metrics of speech are left out for
    music and sounds, if the corpus specifies which of its clips are speech. Columns NAME_16k are
    those of `metrics.measure`. ViSQOL needs the extra `visqol`.

    Ranked: STOI (intelligibility) and PESQ (perceptual quality), which most papers report, and the
    mel distance, which also applies to music and penalises a lost part of the band of the
    reference. SDR and its variants are not ranked: they are meaningless for codecs that do not
    preserve the phase.
    """

    name = "reconstruction"
    version = 2
    ranked = ("mel_distance", "pesq", "stoi")

    def __init__(self, chosen: Sequence[str] | None = None):
        self.chosen = list(chosen) if chosen is not None else metrics.names()
        self.non_speech: frozenset[str] = frozenset()  # ids of clips where no speech is expected

    @property
    def _metrics(self) -> list[metrics.Metric]:
        return [metrics.get(name) for name in self.chosen]

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(c for m in self._metrics if m.missing() is None for c in m.all_columns)

    def left_out(self) -> dict[str, str]:
        return {
            column.name: str(error)
            for metric in self._metrics
            if (error := metric.missing()) is not None
            for column in metric.all_columns
        }

    def prepare(self, corpus: Corpus) -> None:
        self.non_speech = frozenset(clip.id for clip in corpus if not corpus.is_speech(clip))

    def cache_key(self, corpus: Corpus) -> str:
        return ",".join(sorted(self.non_speech))

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        if item.reference is None:
            return {}
        reference, reconstruction = metrics.pair(item.reference, item.reconstruction)
        speech = not self.non_speech or item.clip.id not in self.non_speech
        return metrics.measure(
            (m for m in self._metrics if m.missing() is None and (speech or not m.of_speech)),
            reference,
            reconstruction,
        )
