"""Which codes are masked: always the deepest layers of a frame, counted for each frame.

A state is the number of visible layers of each frame, `visible` (L,) int64 of 0 to D; the layers
from there on are masked. So every mask is a prefix by construction.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def masked_count(progress: float, total: int) -> int:
    """Codes out of `total` that are masked at a progress of 0 (all) to 1 (none).

    ceil(sqrt(1 - r^2) total), the schedule that the paper calls circle (section 3.1).
    """
    return math.ceil(math.sqrt(1 - progress * progress) * total)


def spread(count: int, capacities: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Distributes `count` codes at random over L frames with `capacities` (L,) codes: (L,) int64.

    A sample without replacement, of the multivariate hypergeometric distribution.
    """
    device = capacities.device
    frames = torch.arange(len(capacities), device=device).repeat_interleave(capacities)
    order = torch.randperm(len(frames), generator=generator, device=device)
    return frames[order[:count]].bincount(minlength=len(capacities))


def draw_visible(frames: int, depth: int, generator: torch.Generator | None = None) -> Tensor:
    """The state of a training example: visible layers (frames,), with r ~ U[0, 1)."""
    progress = float(torch.rand((), dtype=torch.float64, generator=generator))
    capacities = torch.full((frames,), depth)
    return depth - spread(masked_count(progress, frames * depth), capacities, generator)


def is_visible(visible: Tensor, depth: int) -> Tensor:
    """The mask (..., D) bool of a state (...): layer j is visible where j < visible."""
    return torch.arange(depth, device=visible.device) < visible[..., None]
