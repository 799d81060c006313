"""Variable frame rates: runs of equal codes as segments with a duration.

A clip with `max_duration` M > 1 stores a code of its first codebooks once per segment. A segment
is a run of up to M equal units; a unit is the least common multiple of the codebooks' strides, in
frames: one frame where all codebooks run at the frame rate. Segments are computed from the codes,
so they need no place beside them in memory, and decoding needs nothing but the codes. Longer runs
are cut greedily, from the left, into segments of M units.
"""

from __future__ import annotations

import torch

from audiotok.errors import TokensError

MAX_DURATION = 32  # units


def segment_starts(codes: torch.Tensor, unit: int, max_duration: int) -> torch.Tensor:
    """The units that start a segment, (ceil(T / unit),) bool.

    Args:
        codes: (C, K, T), those that share segments; the channels share them too.
        unit: frames; an incomplete last unit is a segment of its own.
        max_duration: most units of a segment.
    """
    whole = codes.shape[-1] // unit
    units = codes[..., : whole * unit].unflatten(-1, (whole, unit))
    starts = torch.ones(-(-codes.shape[-1] // unit), dtype=torch.bool, device="cpu")
    starts[1:whole] = (units[:, :, 1:] != units[:, :, :-1]).any(-1).any(0).any(0)
    return limited(starts, max_duration)


def limited(starts: torch.Tensor, max_duration: int) -> torch.Tensor:
    """`starts` (N,) bool with longer segments cut, from the left, into `max_duration` units."""
    index = torch.arange(len(starts), device=starts.device)
    begin = torch.where(starts, index, 0).cummax(0).values
    return (index - begin) % max_duration == 0


def durations_of(starts: torch.Tensor) -> torch.Tensor:
    """Starts (N,) bool, the first True -> durations (S,) int64, in units."""
    edges = torch.cat([starts.nonzero()[:, 0], torch.tensor([len(starts)], device=starts.device)])
    return edges.diff()


def starts_of(durations: torch.Tensor, num_units: int) -> torch.Tensor:
    """The inverse of `durations_of`.

    Raises:
        TokensError: the durations do not add up to `num_units`.
    """
    if not len(durations) or int(durations.min()) < 1 or int(durations.sum()) != num_units:
        raise TokensError(
            f"the durations add up to {int(durations.sum())} units of frames, not {num_units}"
        )
    starts = torch.zeros(num_units, dtype=torch.bool, device="cpu")
    starts[durations.cumsum(0)[:-1]] = True
    starts[0] = True
    return starts


def free_frames(starts: torch.Tensor, unit: int, stride: int, num_frames: int) -> torch.Tensor:
    """The frames (T,) bool in which a codebook with this stride has a free code, if it has codes
    only in the units (N,) bool that start a segment."""
    frames = torch.arange(num_frames, device="cpu")
    return starts[frames // unit] & (frames % stride == 0)


def repeated(
    free: torch.Tensor, starts: torch.Tensor, unit: int, stride: int, num_frames: int
) -> torch.Tensor:
    """Free codes (C, n) -> (C, T), those of a segment in each of its units."""
    position = free_frames(starts, unit, stride, num_frames).long().cumsum(0) - 1
    frames = torch.arange(num_frames, device="cpu")
    index = torch.arange(len(starts), device="cpu")
    begin = torch.where(starts, index, 0).cummax(0).values
    return free[:, position[begin[frames // unit] * unit + frames % unit]]


def expanded(codes: torch.Tensor, durations: torch.Tensor, unit: int) -> torch.Tensor:
    """Codes (C, K, T') of one unit per segment -> (C, K, T), each unit repeated.

    Args:
        durations: (T',), in units, of the segment of each frame.
    """
    lengths = durations[::unit]
    units = torch.arange(len(lengths), device="cpu").repeat_interleave(lengths)
    frames = (units[:, None] * unit + torch.arange(unit, device="cpu")).flatten()
    return codes[:, :, frames[frames < codes.shape[-1]]]
