"""Multi-resolution discriminator: STFT magnitudes at several window lengths.

Jang et al. 2021 (UnivNet), arXiv 2106.07889, section 2.3, with two-dimensional strides and without
a window, as in the official code of WavTokenizer (Ji et al. 2024, arXiv 2408.16532).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from audiotok.nn.discriminators.base import (
    DiscriminatorOutput,
    DiscriminatorSet,
    Spectrum,
    conv2d,
    each_channel,
    through,
)

_SLOPE = 0.1
_KERNELS = ((7, 5), (5, 3), (5, 3), (3, 3), (3, 3))  # frequency, time
_STRIDES = ((2, 2), (2, 1), (2, 2), (2, 1), (2, 2))


class ResolutionDiscriminator(nn.Module):
    """One window length; for arguments see `MultiResolutionDiscriminator`."""

    def __init__(self, window_length: int, hop_length: int, channels: int, window: str):
        super().__init__()
        self.spectrum = Spectrum(window_length, hop_length, window)
        self.convs = nn.ModuleList(
            conv2d(
                1 if index == 0 else channels,
                channels,
                kernel,
                stride=stride,
                padding=(kernel[0] // 2, kernel[1] // 2),
            )
            for index, (kernel, stride) in enumerate(zip(_KERNELS, _STRIDES, strict=True))
        )
        self.post = conv2d(channels, 1, (3, 3), padding=1)

    def forward(self, waveform: Tensor) -> DiscriminatorOutput:
        """(B, C, L) -> logits (B * C, 1, F, T) and feature maps, the logits the last."""
        magnitudes = self.spectrum(each_channel(waveform)).abs()[:, None]
        maps = through(magnitudes, self.convs, _SLOPE)
        logits = self.post(maps[-1])
        return logits, [*maps, logits]


class MultiResolutionDiscriminator(DiscriminatorSet):
    """One sub-discriminator for each window length.

    Args:
        windows: lengths in samples; hops are a quarter.
        channels: of every convolution.
        window: "rectangular", as in the official code, or "hann".
        normalise: see `DiscriminatorSet`.
    """

    def __init__(
        self,
        windows: Sequence[int] = (1024, 2048, 512),
        channels: int = 64,
        window: str = "rectangular",
        normalise: bool = False,
    ):
        super().__init__(
            (ResolutionDiscriminator(size, size // 4, channels, window) for size in windows),
            normalise,
        )
