"""Multi-band discriminator: the complex STFT in bands of frequency, each with its own layers.

Kumar et al. 2023 (DAC), arXiv 2306.06546, section 3.3. DAC's whole discriminator is

    DiscriminatorSet([MultiPeriodDiscriminator(always_pad=True, match_logits=False),
                      MultiBandDiscriminator()], normalise=True)

LM-SPT's has 64 channels. That inside WavTokenizer has `window="rectangular", match_stride=False`,
that of Vocos `match_stride=False, skip_features=1, match_logits=True, normalise=True`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn.discriminators.base import (
    DiscriminatorOutput,
    DiscriminatorSet,
    Spectrum,
    conv2d,
    each_channel,
    through,
)

BANDS = ((0.0, 0.1), (0.1, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0))
_SLOPE = 0.1


class BandDiscriminator(nn.Module):
    """One window length; for arguments see `MultiBandDiscriminator`."""

    def __init__(
        self,
        window_length: int,
        bands: Sequence[Sequence[float]],
        channels: int,
        window: str,
        match_stride: bool,
        skip_features: int,
        match_logits: bool,
    ):
        super().__init__()
        self.hop_length, self.match_stride = window_length // 4, match_stride
        self.skip_features, self.match_logits = skip_features, match_logits
        self.spectrum = Spectrum(window_length, self.hop_length, window)
        bins = window_length // 2 + 1
        self.bands = tuple((int(low * bins), int(high * bins)) for low, high in bands)
        self.band_convs = nn.ModuleList(_band_layers(channels) for _ in self.bands)
        self.post = conv2d(channels, 1, (3, 3), padding=1)

    def forward(self, waveform: Tensor) -> DiscriminatorOutput:
        """(B, C, L) -> logits (B * C, 1, T, F) and feature maps, band after band."""
        spectrum = torch.view_as_real(self._spectrum(each_channel(waveform)))
        hidden = spectrum.permute(0, 3, 2, 1)  # (N, 2, T, F)
        features, ends = [], []
        for (low, high), convs in zip(self.bands, self.band_convs, strict=True):
            maps = through(hidden[..., low:high], convs, _SLOPE)
            features += maps[self.skip_features :]
            ends.append(maps[-1])
        logits = self.post(torch.cat(ends, dim=-1))
        return logits, [*features, logits] if self.match_logits else features

    def _spectrum(self, rows: Tensor) -> Tensor:
        if not self.match_stride:
            return self.spectrum(rows)
        side, missing = 3 * self.hop_length // 2, -rows.shape[-1] % self.hop_length
        padded = F.pad(rows, (side, side + missing), mode="reflect")
        return self.spectrum(padded)[..., 2:-2]


def _band_layers(channels: int) -> nn.ModuleList:
    wide = {"kernel": (3, 9), "padding": (1, 4)}
    return nn.ModuleList(
        [
            conv2d(2, channels, **wide),
            *(conv2d(channels, channels, stride=(1, 2), **wide) for _ in range(3)),
            conv2d(channels, channels, (3, 3), padding=1),
        ]
    )


class MultiBandDiscriminator(DiscriminatorSet):
    """One sub-discriminator for each window length.

    Args:
        windows: lengths in samples; hops are a quarter.
        bands: of frequency, as shares of half the sample rate.
        channels: of every convolution.
        window: "hann" or "rectangular".
        match_stride: as many frames as a convolution with the hop as its stride gives.
        skip_features: so many first feature maps of each band are not matched.
        match_logits: the logits are the last feature map.
        normalise: see `DiscriminatorSet`.
    """

    def __init__(
        self,
        windows: Sequence[int] = (2048, 1024, 512),
        bands: Sequence[Sequence[float]] = BANDS,
        channels: int = 32,
        window: str = "hann",
        match_stride: bool = True,
        skip_features: int = 0,
        match_logits: bool = False,
        normalise: bool = False,
    ):
        super().__init__(
            (
                BandDiscriminator(
                    size, bands, channels, window, match_stride, skip_features, match_logits
                )
                for size in windows
            ),
            normalise,
        )
