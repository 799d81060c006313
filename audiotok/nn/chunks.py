"""Sound in overlapping chunks, each normalised and coded separately (EnCodec at 48 kHz).

Défossez et al. 2022 (EnCodec), arXiv 2210.13438, section 3.1.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F


def chunk_lengths(num_samples: int, longest: int, step: int) -> list[int]:
    """Samples of each chunk: one starts every `step`; only the last ones may be shorter."""
    return [min(longest, num_samples - start) for start in range(0, num_samples, step)]


def normalise(chunk: Tensor) -> tuple[Tensor, Tensor]:
    """A chunk (B, C, L) divided by its level (B,), the RMS of its mono mix; and the level."""
    mono = chunk.mean(dim=1, keepdim=True)
    level = 1e-8 + mono.pow(2).mean(dim=2, keepdim=True).sqrt()
    return chunk / level, level[:, 0, 0]


def overlap_add(chunks: Iterable[Tensor], step: int, num_samples: int) -> Tensor:
    """Cross-fades chunks (B, C, L), one every `step` samples, to (B, C, num_samples).

    Each chunk is weighted by a triangle over the length of the first, and the sum is divided by the
    sum of the weights: samples of one chunk only are unchanged. No chunk is longer than the first.
    """
    start = 0
    for chunk in chunks:
        if start == 0:
            ramp = torch.linspace(0, 1, chunk.shape[-1] + 2, device=chunk.device)[1:-1]
            triangle = 0.5 - (ramp - 0.5).abs()
            weights = torch.zeros_like(triangle)  # sums of weights, from sample `start` on
            sound = chunk.new_zeros(*chunk.shape[:2], num_samples)
        stop = min(start + chunk.shape[-1], num_samples)
        weight = triangle[: stop - start]
        sound[..., start:stop] += weight * chunk[..., : stop - start]
        weights[: stop - start] += weight
        done = sound[..., start : start + step]  # the next chunk begins after these samples
        done /= weights[: done.shape[-1]]
        weights = F.pad(weights[step:], (0, min(step, len(weights))))
        start += step
    return sound
