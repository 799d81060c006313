"""Resampling by windowed sinc interpolation, and mel filters: the same numbers as torchaudio's.

torchaudio's extension fits one version of torch each, and importing it takes half a second; these
two functions are all that most of audiotok needs of it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_ZEROS = 6  # zero crossings of the sinc on each side
_ROLLOFF = 0.99  # cut-off, as a share of half of the lower rate
_BREAK = 1000.0  # Hz, below which Slaney's scale is linear
_HZ_PER_MEL = 200.0 / 3
_LOG_STEP = math.log(6.4) / 27.0


class Resample:
    """Resampling with a Hann-windowed sinc, equal to torchaudio.transforms.Resample.

    Args:
        old, new: the two rates, Hz.

    Attributes:
        width: samples of context that an output needs on each side.
    """

    def __init__(self, old: int, new: int) -> None:
        divisor = math.gcd(old, new)
        self.old, self.new = old // divisor, new // divisor
        base = min(self.old, self.new) * _ROLLOFF
        self.width = math.ceil(_ZEROS * self.old / base)
        taps = torch.arange(-self.width, self.width + self.old, dtype=torch.float64)
        phases = torch.arange(0, -self.new, -1)[:, None, None] / self.new
        time = ((phases + taps / self.old) * base).clamp(-_ZEROS, _ZEROS)
        window = torch.cos(time * math.pi / _ZEROS / 2) ** 2
        time *= math.pi
        sinc = torch.where(time == 0, torch.ones(()).to(time), time.sin() / time)
        self.kernel = (sinc * (window * (base / self.old))).float()

    def __call__(self, waveform: Tensor) -> Tensor:
        """(..., L) -> (..., L * new / old, rounded up)."""
        if self.old == self.new:
            return waveform
        length = waveform.shape[-1]
        rows = F.pad(waveform.reshape(-1, length), (self.width, self.width + self.old))
        kernel = self.kernel.to(waveform)
        rows = F.conv1d(rows[:, None], kernel, stride=self.old).transpose(1, 2)
        resampled = rows.reshape(len(rows), -1)[:, : -(-self.new * length // self.old)]
        return resampled.view(*waveform.shape[:-1], -1)


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
