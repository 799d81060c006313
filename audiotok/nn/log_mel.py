"""Whisper's log-mel spectrogram, differentiable.

Radford et al. 2022, arXiv 2212.04356, section 2.2: 25 ms windows every 10 ms, mel bands up to
8 kHz, log10, limited to 8 below the maximum. Equal to transformers' extractor.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn.mel import mel_filters

SAMPLE_RATE = 16_000  # Hz
WINDOW, HOP = 400, 160  # samples
RANGE = 8.0  # log10 of power, below the maximum

Floor = Literal["clip", "batch"]


class LogMel(nn.Module):
    """Args:
    num_mels: bands; 80, in Whisper large-v3 128.
    """

    def __init__(self, num_mels: int = 80):
        super().__init__()
        bands = mel_filters(WINDOW // 2 + 1, SAMPLE_RATE, num_mels, scale="slaney")
        self.register_buffer("bands", bands, persistent=False)
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def forward(self, waveform: Tensor, floor: Floor = "clip") -> Tensor:
        """(B, L) at 16 kHz -> (B, M, L // 160).

        Args:
            floor: the maximum that sets the floor: that of each "clip", as in Whisper, or that of
                the whole "batch", as in the function of openai-whisper when it gets a batch.
        """
        with torch.autocast(waveform.device.type, enabled=False):
            return self._levels(waveform.to(self.window.dtype), floor)

    def _levels(self, waveform: Tensor, floor: Floor) -> Tensor:
        spectrum = torch.stft(
            waveform, WINDOW, HOP, window=self.window, return_complex=True, pad_mode="reflect"
        )[..., :-1]
        power = spectrum.real.square() + spectrum.imag.square()
        levels = (self.bands @ power).clamp(min=1e-10).log10()
        loudest = levels.amax((1, 2), keepdim=True) if floor == "clip" else levels.max()
        return (torch.maximum(levels, loudest - RANGE) + 4) / 4


def fit(waveform: Tensor, num_samples: int) -> Tensor:
    """(B, L) -> (B, num_samples), cut or zero-padded at the end."""
    return F.pad(waveform, (0, num_samples - waveform.shape[-1]))
