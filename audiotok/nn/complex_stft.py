"""Complex STFT loss: real and imaginary parts at several window lengths, so that phase counts.

L1 of real and imaginary parts as in Wang et al. 2021, arXiv 2108.05470 (its loss RI). Power
compression as in the complex term of Braun and Tashev 2020, arXiv 2009.12286: a magnitude |S|
becomes |S|^power, and the phase stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SILENCE = 1e-8  # power below which compression ends, so that the gradient of silence is finite


class ComplexSTFTLoss(nn.Module):
    """Mean absolute difference of real and imaginary parts, averaged over the resolutions.

    Args:
        windows: lengths of the Hann windows in samples; hops are a quarter. The STFT is divided by
            the norm of the window, so that all resolutions have one scale.
        power: exponent of the magnitudes, 1 for none; 0.3 weighs quiet parts like loud ones.
    """

    def __init__(self, windows: Sequence[int], power: float = 1.0):
        super().__init__()
        self.windows, self.power = tuple(windows), power
        for window in self.windows:
            hann = torch.hann_window(window)
            self.register_buffer(f"hann_{window}", hann, persistent=False)

    def forward(self, reference: Tensor, reconstruction: Tensor) -> Tensor:
        """Both (B, L) float32 of the same length, L > half the longest window -> a scalar."""
        total = reconstruction.new_zeros(())
        for window in self.windows:
            with torch.no_grad():
                target = self._spectrum(reference, window)
            total = total + F.l1_loss(self._spectrum(reconstruction, window), target)
        return total / len(self.windows)

    def _spectrum(self, waveform: Tensor, window: int) -> Tensor:
        """(B, L) -> compressed real and imaginary parts (B, F, T, 2)."""
        hann = getattr(self, f"hann_{window}")
        spectrum = torch.stft(waveform, window, window // 4, window=hann, return_complex=True)
        parts = torch.view_as_real(spectrum) / hann.norm()
        if self.power == 1:
            return parts
        power = parts.square().sum(-1, keepdim=True) + _SILENCE
        return parts * power ** ((self.power - 1) / 2)
