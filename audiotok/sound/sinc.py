"""Resampling by windowed sinc interpolation: the same numbers as torchaudio's transforms.Resample.

torchaudio's extension fits one version of torch each, and importing it takes half a second.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_ZEROS = 6  # zero crossings of the sinc on each side
_ROLLOFF = 0.99  # cut-off, as a share of half of the lower rate


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
