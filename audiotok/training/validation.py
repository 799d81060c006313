"""Losses, metrics and codes on recordings that are not trained on, one recording at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from audiotok import metrics
from audiotok.errors import AudioError, MetricError, RecipeError
from audiotok.sound.audio import Audio
from audiotok.training.crops import read_piece
from audiotok.training.monitor import code_counts, perplexity
from audiotok.training.objectives import Reconstruction
from audiotok.training.processes import ProcessGroup
from audiotok.training.sounds import Sounds

_EXAMPLES = 3  # recordings whose sound is logged


class Example(NamedTuple):
    """A recording and its reconstruction, both (C, L) on the CPU."""

    id: str
    reference: Tensor
    reconstruction: Tensor


class Validated(NamedTuple):
    """Means over the recordings by name, and some examples (only in the main process)."""

    numbers: dict[str, float]
    examples: list[Example]


class Validation:
    """Recordings to validate on; each process takes its share.

    Args:
        numbers: numbers of the recordings in `sounds`.
        seconds: the longest part of each recording that is read; None: all.
        metrics: names of `audiotok.metrics`, computed on each recording in addition to the losses.
            Their means leave out recordings on which they have no value, such as silence.

    Raises:
        AudiotokError: there is no such metric, or a package that it needs is not installed.
    """

    def __init__(
        self,
        sounds: Sounds,
        numbers: Sequence[int],
        *,
        seconds: float | None,
        sample_rate: int,
        channels: int,
        metrics: Sequence[str] = (),
    ):
        self.sounds, self.numbers = sounds, list(numbers)
        self.metrics = [_metric(name) for name in metrics]
        self.sample_rate, self.channels = sample_rate, channels
        self.samples = None if seconds is None else round(seconds * sample_rate)

    @torch.no_grad()
    def __call__(
        self,
        network: nn.Module,
        losses: Reconstruction,
        *,
        sizes: Sequence[int],
        quantize: bool,
        group: ProcessGroup,
        broken: set[str],
    ) -> Validated:
        """Validates; RecipeError if no recording can be read."""
        columns = [column.name for metric in self.metrics for column in metric.columns]
        names = [*losses.weights, "commitment", *columns]
        sums = torch.zeros(2, len(names), dtype=torch.float64)  # sums and numbers of values
        counts = torch.zeros(len(sizes), max(sizes), dtype=torch.float64)
        examples = []
        network.eval()
        for number, waveform in self._recordings(group, broken):
            with group.autocast():
                output = network(waveform, quantize)
            reconstruction = output.waveform[..., : waveform.shape[-1]].float()
            values = losses(waveform, reconstruction) | output.losses
            values |= self._measure(waveform[0].cpu(), reconstruction[0].cpu())
            for index, name in enumerate(names):
                if name in values:
                    sums[:, index] += torch.tensor([float(values[name]), 1.0])
            if output.codes is not None:
                counts += code_counts(output.codes, counts.shape).cpu()
            if group.is_main and len(examples) < _EXAMPLES:
                sounds = waveform[0].cpu(), reconstruction[0].cpu()
                examples.append(Example(self.sounds.ids[number], *sounds))
        network.train()
        sums, counts = (group.sum(tensor.to(group.device)).cpu() for tensor in (sums, counts))
        if not sums[1].any():
            raise RecipeError(
                f"none of {len(self.numbers)} recordings to validate on can be read, "
                f"{self.sounds.ids[self.numbers[0]]!r} first"
            )
        means = zip(names, sums.T.tolist(), strict=True)
        numbers = {name: total / count for name, (total, count) in means if count}
        if quantize:
            numbers["codes_used"] = float((counts > 0).sum())
            numbers["perplexity"] = perplexity(counts).mean().item()
        return Validated(numbers, examples)

    def _measure(self, reference: Tensor, reconstruction: Tensor) -> dict[str, float]:
        """The metrics that have a value on a pair (C, L), by column."""
        sounds = (Audio(sound, self.sample_rate) for sound in (reference, reconstruction))
        values = metrics.measure(self.metrics, *sounds) if self.metrics else {}
        return {name: value for name, value in values.items() if not isinstance(value, MetricError)}

    def _recordings(self, group: ProcessGroup, broken: set[str]) -> Iterator[tuple[int, Tensor]]:
        for number in self.numbers[group.rank :: group.count]:
            try:
                waveform = read_piece(
                    self.sounds,
                    number,
                    samples=self.samples,
                    sample_rate=self.sample_rate,
                    channels=self.channels,
                )
            except AudioError:
                broken.add(self.sounds.ids[number])
                continue
            yield number, waveform[None].to(group.device)


def _metric(name: str) -> metrics.Metric:
    metric = metrics.get(name)
    if (error := metric.missing()) is not None:
        raise error
    return metric
