"""Mel filters: the same numbers as torchaudio.functional.melscale_fbanks, without its import."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_BREAK = 1000.0  # Hz, below which Slaney's scale is linear
_HZ_PER_MEL = 200.0 / 3
_LOG_STEP = math.log(6.4) / 27.0


def mel_filters(
    num_bins: int,
    sample_rate: int,
    num_bands: int,
    *,
    scale: str = "htk",
    low: float = 0.0,
    high: float | None = None,
) -> Tensor:
    """Triangular mel filters (num_bands, num_bins), as torchaudio.functional.melscale_fbanks.

    Args:
        num_bins: of the spectrum, from 0 Hz to half the sample rate.
        scale: "htk", or "slaney", whose bands have equal area.
        low, high: of the bands, Hz; default: 0 to half the sample rate.
    """
    bins = torch.linspace(0, sample_rate // 2, num_bins)
    high = sample_rate / 2 if high is None else high
    edges = torch.linspace(_mel(low, scale), _mel(high, scale), num_bands + 2)
    edges = _hertz(edges, scale)
    slopes = edges - bins[:, None]  # (bins, bands + 2)
    widths = edges.diff()
    falling, rising = slopes[:, 2:] / widths[1:], -1.0 * slopes[:, :-2] / widths[:-1]
    filters = torch.minimum(rising, falling).clamp(min=0)
    if scale == "slaney":
        filters *= 2.0 / (edges[2:] - edges[:num_bands])
    return filters.T


def _mel(hertz: float, scale: str) -> float:
    if scale == "htk":
        return 2595.0 * math.log10(1.0 + hertz / 700.0)
    if hertz < _BREAK:
        return hertz / _HZ_PER_MEL
    return _BREAK / _HZ_PER_MEL + math.log(hertz / _BREAK) / _LOG_STEP


def _hertz(mels: Tensor, scale: str) -> Tensor:
    if scale == "htk":
        return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    start = _BREAK / _HZ_PER_MEL
    logarithmic = _BREAK * torch.exp(_LOG_STEP * (mels - start))
    return torch.where(mels >= start, logarithmic, _HZ_PER_MEL * mels)
