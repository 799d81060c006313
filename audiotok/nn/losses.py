"""Losses of training: spectrograms at one or several resolutions, waveforms, a teacher.

Of sound they take (reference, reconstruction), both (B, L) float32 of the same length; gradients
go to the reconstruction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn.mel import mel_filters

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
            filters = mel_filters(window // 2 + 1, sample_rate, bands, scale="slaney")
            self.register_buffer(f"filters_{window}", filters, persistent=False)
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


class MelSpectrogram(nn.Module):
    """Mel spectrogram of one window length, Hann.

    Args:
        sample_rate: Hz.
        window_length, hop_length: samples.
        num_bands: of the mel scale, from `low` Hz to half the sample rate.
        scale: "htk" without normalisation, as torchaudio's default, or "slaney" with bands of
            equal area, as librosa's.
        power: of the magnitudes, 1 or 2.
        same: ceil(L / hop_length) frames, as of a convolution, instead of centred ones.
        unit_norm: divide the STFT by the norm of the window.
    """

    def __init__(
        self,
        sample_rate: int,
        window_length: int,
        hop_length: int,
        num_bands: int,
        scale: str = "htk",
        power: int = 1,
        low: float = 0.0,
        same: bool = False,
        unit_norm: bool = False,
    ):
        super().__init__()
        self.hop_length, self.power, self.same = hop_length, power, same
        hann = torch.hann_window(window_length)
        self.register_buffer("hann", hann, persistent=False)
        bins = window_length // 2 + 1
        filters = mel_filters(bins, sample_rate, num_bands, scale=scale, low=low)
        if unit_norm:
            filters = filters / hann.norm() ** power
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, L) float32 -> (B, num_bands, T)."""
        size = len(self.hann)
        if self.same:
            side = (size - self.hop_length) // 2
            waveform = F.pad(waveform, (side, side), mode="reflect")
            waveform = F.pad(waveform, (0, (size - waveform.shape[-1]) % self.hop_length))
        spectrum = torch.stft(
            waveform, size, self.hop_length, window=self.hann, center=not self.same,
            return_complex=True,
        )  # fmt: skip
        magnitudes = spectrum.abs()
        return self.filters @ (magnitudes if self.power == 1 else magnitudes.square())


class LogMelLoss(nn.Module):
    """L1 of natural-log mel magnitudes, one resolution (Vocos, WavTokenizer).

    Siuzdak 2023, arXiv 2306.00814, section 3.3; the defaults are WavTokenizer's at 24 kHz.
    """

    def __init__(
        self,
        sample_rate: int,
        window_length: int = 1024,
        hop_length: int = 256,
        num_bands: int = 100,
        floor: float = 1e-7,
    ):
        super().__init__()
        self.floor = floor
        self.mel = MelSpectrogram(sample_rate, window_length, hop_length, num_bands)

    def forward(self, reference: Tensor, reconstruction: Tensor) -> Tensor:
        """A scalar."""
        target, output = _pair(self.mel, reference, reconstruction)
        return F.l1_loss(output.clamp(min=self.floor).log(), target.clamp(min=self.floor).log())


class MultiScaleMelLoss(nn.Module):
    """L1 of log10 mel magnitudes, summed over window lengths (DAC).

    Kumar et al. 2023, arXiv 2306.06546, section 3.4: seven windows of 32 to 2048 samples with 5 to
    320 bands, hops of a quarter.

    Args:
        sample_rate: Hz.
        mel_bands: window length in samples -> number of mel bands.
        power: of the magnitudes inside the logarithm: 1 in DAC, 2 in LM-SPT.
        linear_weight: of the L1 of the magnitudes themselves: 0 in DAC, 1 in LM-SPT.
    """

    def __init__(
        self,
        sample_rate: int,
        mel_bands: Mapping[int, int],
        power: float = 1.0,
        linear_weight: float = 0.0,
    ):
        super().__init__()
        self.power, self.linear_weight = power, linear_weight
        self.mels = nn.ModuleList(
            MelSpectrogram(sample_rate, window, window // 4, bands, "slaney")
            for window, bands in mel_bands.items()
        )

    def forward(self, reference: Tensor, reconstruction: Tensor) -> Tensor:
        """A scalar."""
        total = reconstruction.new_zeros(())
        for mel in self.mels:
            target, output = _pair(mel, reference, reconstruction)
            logs = (m.clamp(min=_FLOOR).log10() * self.power for m in (output, target))
            total = total + F.l1_loss(*logs)
            if self.linear_weight:
                total = total + self.linear_weight * F.l1_loss(output, target)
        return total


class MelEnergyLoss(nn.Module):
    """L1 of mel energies and squared error of their log10, over window lengths (EnCodec).

    Défossez et al. 2022, arXiv 2210.13438, equation 2, as the training code that the authors
    published later has it: windows of 64 to 1024 samples, 64 bands from 64 Hz on, frames as of a
    convolution, all divided by twice the number of windows.
    """

    def __init__(
        self,
        sample_rate: int,
        windows: tuple[int, ...] = (64, 128, 256, 512, 1024),
        num_bands: int = 64,
        low: float = 64.0,
    ):
        super().__init__()
        self.mels = nn.ModuleList(
            MelSpectrogram(
                sample_rate, window, window // 4, num_bands, power=2, low=low, same=True,
                unit_norm=True,
            )
            for window in windows
        )  # fmt: skip

    def forward(self, reference: Tensor, reconstruction: Tensor) -> Tensor:
        """A scalar."""
        total = reconstruction.new_zeros(())
        for mel in self.mels:
            target, output = _pair(mel, reference, reconstruction)
            logs = ((_FLOOR + m).log10() for m in (output, target))
            total = total + F.l1_loss(output, target) + F.mse_loss(*logs)
        return total / (2 * len(self.mels))


def _pair(
    features: Callable[[Tensor], Tensor], reference: Tensor, reconstruction: Tensor
) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        target = features(reference)
    return target, features(reconstruction)


def waveform_l1(reference: Tensor, reconstruction: Tensor) -> Tensor:
    """Mean absolute difference of the samples (EnCodec, SpeechTokenizer)."""
    return F.l1_loss(reconstruction, reference)


def waveform_l2(reference: Tensor, reconstruction: Tensor) -> Tensor:
    """Mean squared difference of the samples."""
    return F.mse_loss(reconstruction, reference)


def distillation_by_channel(quantized: Tensor, teacher: Tensor) -> Tensor:
    """How little each channel follows the teacher's over time: -log sigmoid(cosine), averaged.

    Zhang et al. 2023 (SpeechTokenizer), arXiv 2308.16692, equation 1: `quantized` (B, D, T) are the
    vectors of the first codebook, projected to the teacher's width D; `teacher` (B, D, T') its
    features at the same frame rate. The last frames of the longer one are left out.
    """
    quantized, teacher = _same_frames(quantized, teacher)
    return -F.logsigmoid(F.cosine_similarity(quantized, teacher, dim=2)).mean()


def distillation_by_frame(quantized: Tensor, teacher: Tensor) -> Tensor:
    """1 - cosine of each frame with the teacher's, averaged; arguments as above.

    Défossez et al. 2024 (Mimi), arXiv 2410.00037, section 3.3.2.
    """
    quantized, teacher = _same_frames(quantized, teacher)
    return 1 - F.cosine_similarity(quantized, teacher, dim=1).mean()


def _same_frames(quantized: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    if quantized.shape[:2] != teacher.shape[:2]:
        raise ValueError(
            f"quantized {tuple(quantized.shape)} and teacher {tuple(teacher.shape)} differ in "
            "clips or channels: expected (B, D, T) and (B, D, T'), the vectors projected to D"
        )
    frames = min(quantized.shape[2], teacher.shape[2])
    return quantized[..., :frames], teacher[..., :frames].detach()
