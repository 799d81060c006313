"""Losses and codes on recordings that are not trained on, read whole and one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from audiotok.errors import AudioError, RecipeError
from audiotok.training.crops import read_piece
from audiotok.training.monitor import code_counts, perplexity
from audiotok.training.objectives import Reconstruction
from audiotok.training.processes import ProcessGroup
from audiotok.training.sounds import Sounds

_SHOWN = 3  # recordings whose sound and picture are kept


class Example(NamedTuple):
    """A recording and what the codec makes of it, both (C, L) on the CPU."""

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
        numbers: which of `sounds`.
        seconds: at most so much of each; all if None.
    """

    def __init__(
        self,
        sounds: Sounds,
        numbers: Sequence[int],
        *,
        seconds: float | None,
        sample_rate: int,
        channels: int,
    ):
        self.sounds, self.numbers = sounds, list(numbers)
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
        """Raises RecipeError where no recording can be read."""
        names = [*losses.weights, "commitment", "clips"]
        sums = torch.zeros(len(names), dtype=torch.float64)
        counts = torch.zeros(len(sizes), max(sizes), dtype=torch.float64)
        examples = []
        network.eval()
        for number, waveform in self._share(group, broken):
            with group.autocast():
                output = network(waveform, quantize)
            reconstruction = output.waveform[..., : waveform.shape[-1]].float()
            found = losses(waveform, reconstruction) | output.losses
            found["clips"] = torch.ones(())
            sums += torch.tensor([float(found.get(name, 0.0)) for name in names])
            if output.codes is not None:
                counts += code_counts(output.codes, counts.shape).cpu()
            if group.is_main and len(examples) < _SHOWN:
                pair = waveform[0].cpu(), reconstruction[0].cpu()
                examples.append(Example(self.sounds.ids[number], *pair))
        network.train()
        sums, counts = (group.sum(tensor.to(group.device)).cpu() for tensor in (sums, counts))
        if sums[-1] == 0:
            raise RecipeError(
                f"none of {len(self.numbers)} recordings to validate on can be read, "
                f"{self.sounds.ids[self.numbers[0]]!r} first"
            )
        numbers = dict(zip(names, (sums / sums[-1]).tolist(), strict=True))
        del numbers["clips"]
        if not quantize:
            del numbers["commitment"]
        else:
            numbers["codes_used"] = float((counts > 0).sum())
            numbers["perplexity"] = perplexity(counts).mean().item()
        return Validated(numbers, examples)

    def _share(self, group: ProcessGroup, broken: set[str]) -> Iterator[tuple[int, Tensor]]:
        for number in self.numbers[group.rank :: group.count]:
            try:
                piece = read_piece(
                    self.sounds,
                    number,
                    samples=self.samples,
                    sample_rate=self.sample_rate,
                    channels=self.channels,
                )
            except AudioError:
                broken.add(self.sounds.ids[number])
                continue
            yield number, piece[None].to(group.device)
