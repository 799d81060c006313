"""Snake at twice the sample rate between low-pass filters, as in BigVGAN.

Lee et al. 2022 (BigVGAN), arXiv 2206.04658, section 3.3. An activation makes harmonics; without the
filters, those above half of the sample rate would be folded into the band. The filters are sincs
with a Kaiser window; at both ends of a sound its first or last value is repeated.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TAPS = 12  # of each filter, at twice the rate
REACH = 5  # samples on each side that an output depends on
# Kaiser's formulas: the attenuation, dB, for a transition of 0.6 of the band; the window's shape
_ATTENUATION = 2.285 * (TAPS // 2 - 1) * torch.pi * 1.2 + 7.95
_BETA = 0.1102 * (_ATTENUATION - 8.7)


def low_pass() -> Tensor:
    """The filter (TAPS,) that cuts at half of the band, with sum 1."""
    time = torch.arange(TAPS) - (TAPS - 1) / 2
    window = torch.kaiser_window(TAPS, periodic=False, beta=_BETA)
    taps = 0.5 * window * torch.sinc(0.5 * time)
    return taps / taps.sum()


class AliasFreeSnake(nn.Module):
    """x + sin²(αx) / β at twice the rate; each channel has log α and log β."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        taps = low_pass()
        # Of a sample between two others: taps of one phase, once for the sample before it
        phases = torch.zeros(2, 1, TAPS // 2 + 1)
        phases[0, 0, :-1], phases[1, 0, 1:] = taps[1::2].flip(0), taps[::2].flip(0)
        self.register_buffer("_up", 2 * phases, persistent=False)
        self.register_buffer("_down", taps[None, None], persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        channels = hidden.shape[1]
        side = self._up.shape[-1] // 2
        padded = F.pad(hidden, (side, side), mode="replicate")
        double = F.conv1d(padded, self._up.repeat(channels, 1, 1), groups=channels)
        double = double.unflatten(1, (channels, 2)).transpose(2, 3).flatten(2)
        alpha, gain = self.alpha.exp()[:, None], (self.beta.exp() + 1e-9).reciprocal()[:, None]
        double = torch.addcmul(double, (alpha * double).sin().square(), gain)
        double = F.pad(double, (REACH, REACH + 1), mode="replicate")
        return F.conv1d(double, self._down.repeat(channels, 1, 1), stride=2, groups=channels)
