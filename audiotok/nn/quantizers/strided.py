"""Codebooks that run slower than the frames: a stage pools its latents before the search.

SNAC (Siuzdak et al. 2024, arXiv 2410.14411) trains such stages; codec-merging (VALL-E R, Han et
al. 2024, arXiv 2406.07855, section 3.1) adds them to a codec trained without. Both pool the
residual over `stride` frames, search, repeat the codeword over those frames, and subtract it from
the residual before pooling. Codes stay rectangular, the slower ones repeated.

A `SharedStride` is a stride whose codes are shared by whole segments of frames, which differ from
clip to clip; `sharing(durations, unit)` says what the segments of the clip at hand are.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SharedStride(int):
    """A stride within a unit of frames, whose codes all units of a segment share."""


_shared: ContextVar[tuple[Tensor, int] | None] = ContextVar("_shared", default=None)


@contextmanager
def sharing(durations: Tensor, unit: int) -> Iterator[None]:
    """Within it, `pool` and `repeat` at a `SharedStride` use these segments.

    Args:
        durations: of the segments of one clip, (S,), in units; their sum is all of the clip.
        unit: frames, a multiple of the strides.
    """
    token = _shared.set((durations, unit))
    try:
        yield
    finally:
        _shared.reset(token)


def shared_segments(stride: int) -> tuple[Tensor, int] | None:
    """Durations, and positions per unit, of the segments at this stride; None if not shared."""
    shared = _shared.get() if isinstance(stride, SharedStride) else None
    return shared and (shared[0], shared[1] // stride)


def pool(latents: Tensor, stride: int) -> Tensor:
    """Latents (B, D, T) -> means (B, D, ceil(T / stride)); the last group may be shorter.

    At a shared stride the units of a segment are averaged too, position by position.
    """
    if (shared := shared_segments(stride)) is not None and latents.shape[-1]:
        durations, positions = shared
        units = pool(latents, int(stride)).unflatten(-1, (-1, positions))
        means = [part.mean(2) for part in units.split(durations.tolist(), 2)]
        return torch.stack(means, 2).flatten(2)
    if stride == 1 or latents.shape[-1] == 0:
        return latents
    return F.avg_pool1d(latents, stride, ceil_mode=True)


def repeat(frames: Tensor, stride: int, num_frames: int) -> Tensor:
    """Frames (B, D, ceil(T / stride)) -> (B, D, T), each one `stride` times; at a shared stride
    the frames of a segment in each of its units. Codes without D are repeated in the same way."""
    if (shared := shared_segments(stride)) is not None and frames.shape[-1]:
        durations, positions = shared
        units = frames.unflatten(-1, (-1, positions))
        units = units.repeat_interleave(durations.to(frames.device), -2)
        return repeat(units.flatten(-2), int(stride), num_frames)
    return frames if stride == 1 else frames.repeat_interleave(stride, -1)[..., :num_frames]


def checked_strides(strides: Sequence[int] | None, num_codebooks: int) -> tuple[int, ...]:
    """One stride, in frames, for each codebook; all 1 where none are given."""
    strides = (1,) * num_codebooks if strides is None else tuple(strides)
    if len(strides) != num_codebooks or any(stride < 1 for stride in strides):
        raise ValueError(
            f"strides {strides} do not fit {num_codebooks} codebooks: "
            "expected one whole number from 1 for each"
        )
    return strides


def merged(quantizer: nn.Module, strides: Sequence[int]) -> nn.Module:
    """A residual quantizer at merged rates, which shares its codebooks with `quantizer`.

    VALL-E R merges pairs of frames in the first codebook of EnCodec: strides (2, 1, 1, ...).
    """
    other = copy.copy(quantizer)
    other.strides = checked_strides(strides, len(quantizer.strides))
    return other
