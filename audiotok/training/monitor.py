"""Monitoring of a run: use of the codebooks, and losses that are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from audiotok.errors import RecipeError
from audiotok.kernels import Processes
from audiotok.training.settings import StopConfig

_DECAY = 0.99  # of the moving code frequencies


class Usage(nn.Module):
    """Usage of codes, over all processes; its state is part of that of a run.

    Args:
        sizes: codewords of each codebook.
    """

    def __init__(
        self, sizes: Sequence[int], settings: StopConfig, processes: Processes | None = None
    ):
        super().__init__()
        self.sizes, self.settings, self.processes = tuple(sizes), settings, processes
        shape = len(self.sizes), max(self.sizes)
        valid = torch.arange(shape[1]) < torch.tensor(self.sizes)[:, None]
        self.register_buffer("valid", valid, persistent=False)
        self.register_buffer("frequency", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("unused_for", torch.zeros(shape, dtype=torch.int64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, codes: Tensor) -> None:
        """Counts the codes (B, K, T) of a step; -1 and codebooks that are missing are not
        counted."""
        counts = code_counts(codes, self.frequency.shape)
        if self.processes is not None:
            counts = self.processes.sum(counts)
        shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
        self.frequency.mul_(_DECAY).add_(shares, alpha=1 - _DECAY)
        self.unused_for.add_(1).masked_fill_(counts > 0, 0)
        self.steps += 1

    def numbers(self) -> dict[str, float]:
        """Use of the codebooks within the last `StopConfig.for_steps` steps.

        usage: smallest share of a codebook's codes that were used; perplexity: mean over the
        codebooks; dead_codes: number of codes that were not used.
        """
        used = (self.unused_for < self.settings.for_steps) & (self.unused_for < self.steps)
        used &= self.valid
        shares = used.sum(1) / self.valid.sum(1)
        return {
            "usage": shares.min().item(),
            "perplexity": perplexity(self.frequency).mean().item(),
            "dead_codes": float((self.valid & ~used).sum()),
        }

    def check(self) -> None:
        """Raises RecipeError if a codebook has collapsed for the number of steps of the recipe."""
        if int(self.steps) < self.settings.for_steps:
            return
        used = ((self.unused_for < self.settings.for_steps) & self.valid).sum(1)
        shares = (used / self.valid.sum(1)).tolist()
        if min(shares) < self.settings.usage_below:
            worst = shares.index(min(shares))
            raise RecipeError(
                f"codebook {worst} has collapsed: {int(used[worst])} of {self.sizes[worst]} codes "
                f"in {self.settings.for_steps} steps, fewer than stop.usage_below "
                f"{self.settings.usage_below:g}: lower losses.commitment or the learning rate, or "
                "start the codebook later"
            )


def code_counts(codes: Tensor, shape: Sequence[int]) -> Tensor:
    """Counts (K, V) fp64 of each code of each codebook in codes (B, K', T), K' <= K."""
    rows, width = shape
    offsets = torch.arange(codes.shape[1], device=codes.device)[:, None] * width
    flat = (codes + offsets)[codes >= 0]
    return torch.bincount(flat, minlength=rows * width).view(rows, width).double()


def perplexity(frequency: Tensor) -> Tensor:
    """exp of the entropy of each row (K, V) of counts or frequencies: (K,)."""
    shares = frequency / frequency.sum(1, keepdim=True).clamp(min=1e-12)
    return torch.special.entr(shares).sum(1).exp()


def check_finite(step: int, numbers: Mapping[str, float], folder: object) -> None:
    """Raises RecipeError if a loss or the norm of a gradient is not finite."""
    not_finite = {name: value for name, value in numbers.items() if not math.isfinite(value)}
    if not_finite:
        not_finite_text = ", ".join(f"{name} {value}" for name, value in not_finite.items())
        others = ", ".join(
            f"{name} {value:.3g}" for name, value in numbers.items() if name not in not_finite
        )
        raise RecipeError(
            f"step {step}: not finite: {not_finite_text} (beside {others or 'nothing'}); {folder} "
            "keeps the state before: lower the learning rate, or clip the gradient "
            "(optimizer.clip_norm)"
        )
