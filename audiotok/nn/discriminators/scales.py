"""Multi-scale STFT discriminator: the complex STFT at several window lengths.

Défossez et al. 2022 (EnCodec), arXiv 2210.13438, section 3.4. The paper has windows of 2048, 1024,
512, 256 and 128 samples; the default here is that of the official class.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from audiotok.nn.discriminators.base import (
    DiscriminatorOutput,
    DiscriminatorSet,
    Spectrum,
    conv2d,
    through,
)

_SLOPE = 0.2
_DILATIONS = (1, 2, 4)  # along time


class ScaleDiscriminator(nn.Module):
    """One window length; for arguments see `MultiScaleDiscriminator`."""

    def __init__(self, window_length: int, channels: int, waveform_channels: int):
        super().__init__()
        self.spectrum = Spectrum(window_length, window_length // 4, centred=False, unit_norm=True)
        # the first convolution has no weight normalisation in the official code either
        first = nn.Conv2d(2 * waveform_channels, channels, (3, 9), padding=(1, 4))
        self.convs = nn.ModuleList(
            [
                first,
                *(
                    conv2d(
                        channels,
                        channels,
                        (3, 9),
                        stride=(1, 2),
                        dilation=(dilation, 1),
                        padding=(dilation, 4),
                    )
                    for dilation in _DILATIONS
                ),
                conv2d(channels, channels, (3, 3), padding=1),
            ]
        )
        self.post = conv2d(channels, 1, (3, 3), padding=1)

    def forward(self, waveform: Tensor) -> DiscriminatorOutput:
        """(B, C, L), L >= window -> logits (B, 1, T, F) and feature maps."""
        spectrum = self.spectrum(waveform.float().flatten(0, 1))
        spectrum = spectrum.unflatten(0, waveform.shape[:2]).transpose(2, 3)
        maps = through(torch.cat([spectrum.real, spectrum.imag], dim=1), self.convs, _SLOPE)
        return self.post(maps[-1]), maps


class MultiScaleDiscriminator(DiscriminatorSet):
    """One sub-discriminator for each window length.

    Args:
        windows: lengths in samples; hops are a quarter.
        channels: of every convolution.
        waveform_channels: C, all in one input.
        normalise: see `DiscriminatorSet`.
    """

    def __init__(
        self,
        windows: Sequence[int] = (1024, 2048, 512),
        channels: int = 32,
        waveform_channels: int = 1,
        normalise: bool = False,
    ):
        super().__init__(
            (ScaleDiscriminator(size, channels, waveform_channels) for size in windows), normalise
        )
