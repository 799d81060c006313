"""Resampling, and the length of what is resampled.

A waveform of L samples at rate r has ceil(L * s / r) samples at rate s, everywhere. The filter is
torchaudio's sinc interpolation with its defaults, as the official WavTokenizer and EnCodec use it;
where the ratio is so awkward that its kernel would be huge (44099 -> 24000), soxr's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import soxr
import torch

from audiotok.system.defaults import pytorch_defaults
from audiotok.system.dependencies import torchaudio

_KERNEL_LIMIT = 2**20  # floats of a resampling kernel; more awkward ratios go through soxr
BLOCK = 2**22  # samples resampled at once


def resampled_length(num_samples: int, sample_rate: int, new_sample_rate: int) -> int:
    """Samples at `new_sample_rate` of what has `num_samples` at `sample_rate`, rounded up."""
    return -(-num_samples * new_sample_rate // sample_rate)


@lru_cache(maxsize=16)
def _resampler(old: int, new: int) -> torch.nn.Module | None:
    """torchaudio's resampler between two coprime rates; None where its kernel would be too big."""
    width = math.ceil(6 * old / (0.99 * min(old, new)))
    if new * (old + 2 * width) > _KERNEL_LIMIT:
        return None
    return torchaudio().transforms.Resample(old, new)


@pytorch_defaults()
def resample(
    stretch: Callable[[int, int], torch.Tensor], shape: tuple[int, int], rates: tuple[int, int]
) -> torch.Tensor:
    """(C, L) -> (C, resampled_length), in blocks: the filter is local, so blocks change nothing.

    Args:
        stretch: start and stop -> samples (C, stop - start), or as many as there are; is asked for
            one stretch after another, which overlap.
        shape: (C, L) of all.
        rates: Hz, before and after.
    """
    divisor = math.gcd(*rates)
    old, new = (rate // divisor for rate in rates)
    channels, length = shape
    resampled = torch.zeros(channels, resampled_length(length, old, new))
    resampler = _resampler(old, new)
    if resampler is None:
        for channel, samples in enumerate(stretch(0, length)):
            piece = torch.from_numpy(soxr.resample(samples.numpy(), *rates))
            piece = piece[: resampled.shape[1]]
            resampled[channel, : len(piece)] = piece
        return resampled
    context = math.ceil(resampler.width / old) * old
    step = max(BLOCK // old, 1) * old
    for start in range(0, length, step):
        before = min(start, context)
        block = stretch(start - before, start + step + context)
        piece = resampler(block)[:, before * new // old :][:, : step * new // old]
        begin = start * new // old
        resampled[:, begin : begin + piece.shape[1]] = piece
    return resampled
