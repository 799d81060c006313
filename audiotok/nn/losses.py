"""Reconstruction losses: mel and linear spectrograms at several resolutions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

_FLOOR = 1e-5  # of magnitudes, before the logarithm


class SpectralLosses(NamedTuple):
    """Scalars, each the mean over the resolutions."""

    mel: Tensor  # L1 of natural-log mel magnitudes
    stft: Tensor  # spectral convergence plus L1 of natural-log magnitudes


class MultiResolutionSpectralLoss(nn.Module):
    """Multi-scale mel loss (Kumar et al. 2023, arXiv 2306.06546, section 3.4, with natural
    logarithms) and multi-resolution STFT loss (Yamamoto et al. 2020, arXiv 1910.11480, eq. 3 to 6).

    Args:
        sample_rate: Hz.
        mel_bands: window length in samples -> number of mel bands; Hann windows, hop a quarter.
    """

    def __init__(self, sample_rate: int, mel_bands: Mapping[int, int]):
        super().__init__()
        self.windows = tuple(mel_bands)
        for window, bands in mel_bands.items():
            filters = torchaudio.functional.melscale_fbanks(
                window // 2 + 1, 0.0, sample_rate / 2, bands, sample_rate, "slaney", "slaney"
            )
            self.register_buffer(f"filters_{window}", filters.T, persistent=False)
            self.register_buffer(f"hann_{window}", torch.hann_window(window), persistent=False)

    def forward(self, reference: Tensor, reconstruction: Tensor) -> SpectralLosses:
        """Both (B, L) float32, of the same length."""
        mel = stft = reference.new_zeros(())
        for window in self.windows:
            filters = getattr(self, f"filters_{window}")
            with torch.no_grad():
                target = self._magnitudes(reference, window)
            output = self._magnitudes(reconstruction, window)
            mel = mel + F.l1_loss(_log(filters @ output), _log(filters @ target))
            convergence = (target - output).norm() / target.norm().clamp(min=_FLOOR)
            stft = stft + convergence + F.l1_loss(_log(output), _log(target))
        return SpectralLosses(mel / len(self.windows), stft / len(self.windows))

    def _magnitudes(self, waveform: Tensor, window: int) -> Tensor:
        hann = getattr(self, f"hann_{window}")
        spectrum = torch.stft(waveform, window, window // 4, window=hann, return_complex=True)
        # the small constant keeps the gradient of the root finite in silence
        return (spectrum.real.square() + spectrum.imag.square() + 1e-10).sqrt()


def _log(magnitudes: Tensor) -> Tensor:
    return magnitudes.clamp(min=_FLOOR).log()
