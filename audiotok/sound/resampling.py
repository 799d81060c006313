"""Resampling, and the number of samples that results.

A waveform of L samples at rate r has ceil(L * s / r) samples at rate s, everywhere. The filter is
the sinc interpolation of torchaudio with its defaults, as in the official WavTokenizer and EnCodec;
or soxr's, if the ratio of the rates would need a huge kernel (44099 -> 24000).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import soxr
import torch

from audiotok.sound.sinc import Resample
from audiotok.system.defaults import pytorch_defaults

_KERNEL_LIMIT = 2**20  # floats of a resampling kernel; if it would be larger, soxr is used
BLOCK = 2**22  # samples resampled at once


def resampled_length(num_samples: int, sample_rate: int, new_sample_rate: int) -> int:
    """Samples at `new_sample_rate` of a sound with `num_samples` at `sample_rate`, rounded up."""
    return -(-num_samples * new_sample_rate // sample_rate)


@lru_cache(maxsize=16)
def _resampler(old: int, new: int) -> Resample | None:
    """The resampler between two coprime rates; None if its kernel would be too large."""
    width = math.ceil(6 * old / (0.99 * min(old, new)))
    if new * (old + 2 * width) > _KERNEL_LIMIT:
        return None
    return Resample(old, new)


@pytorch_defaults()
def resample(
    stretch: Callable[[int, int], torch.Tensor], shape: tuple[int, int], rates: tuple[int, int]
) -> torch.Tensor:
    """(C, L) -> (C, resampled_length). For the arguments see `resampled_blocks`."""
    resampled = torch.zeros(shape[0], resampled_length(shape[1], *rates))
    begin = 0
    for block in resampled_blocks(stretch, shape, rates):
        resampled[:, begin : begin + block.shape[1]] = block
        begin += block.shape[1]
    return resampled


def resampled_blocks(
    stretch: Callable[[int, int], torch.Tensor], shape: tuple[int, int], rates: tuple[int, int]
) -> Iterator[torch.Tensor]:
    """The resampled sound in blocks (C, n), equal to that of the whole: the filter is local.

    Args:
        stretch: function from start and stop to samples (C, stop - start), fewer at the end; it is
            called from left to right, with overlaps.
        shape: (C, L) of the whole sound.
        rates: Hz, before and after.
    """
    divisor = math.gcd(*rates)
    old, new = (rate // divisor for rate in rates)
    length = shape[1]
    resampler = _resampler(old, new)
    if resampler is None:  # soxr needs the whole sound
        pieces = [soxr.resample(channel.numpy(), *rates) for channel in stretch(0, length)]
        resampled = torch.from_numpy(np.stack(pieces))[:, : resampled_length(length, *rates)]
        yield resampled.float()
        return
    context = math.ceil(resampler.width / old) * old
    step = max(BLOCK // old, 1) * old
    for start in range(0, length, step):
        before = min(start, context)
        block = stretch(start - before, start + step + context)
        with torch.no_grad():
            piece = resampler(block)
        yield piece[:, before * new // old :][:, : step * new // old]
