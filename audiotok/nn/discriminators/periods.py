"""Multi-period discriminator: the waveform reshaped to rows of one period, convolved along columns.

Kong et al. 2020 (HiFi-GAN), arXiv 2010.05646, section 2.3. WavTokenizer and Vocos leave the first
feature map out (`skip_features=1`); DAC always pads, and does not count the logits as a feature map
(`always_pad=True, match_logits=False`). Layers are the same in all.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn.discriminators.base import (
    DiscriminatorOutput,
    DiscriminatorSet,
    conv2d,
    each_channel,
    through,
)

_SLOPE = 0.1


class PeriodDiscriminator(nn.Module):
    """One period; for arguments see `MultiPeriodDiscriminator`."""

    def __init__(
        self,
        period: int,
        channels: Sequence[int],
        strides: Sequence[int],
        kernel_size: int,
        skip_features: int,
        match_logits: bool,
        always_pad: bool,
    ):
        super().__init__()
        self.period, self.always_pad = period, always_pad
        self.skip_features, self.match_logits = skip_features, match_logits
        sizes = zip((1, *channels), channels, strides, strict=False)
        self.convs = nn.ModuleList(
            conv2d(before, after, (kernel_size, 1), stride=(s, 1), padding=(kernel_size // 2, 0))
            for before, after, s in sizes
        )
        self.post = conv2d(channels[-1], 1, (3, 1), padding=(1, 0))

    def forward(self, waveform: Tensor) -> DiscriminatorOutput:
        """(B, C, L), L >= period -> logits (B * C, 1, T, period) and feature maps."""
        rows = each_channel(waveform)[:, None]
        missing = -rows.shape[-1] % self.period
        if self.always_pad and missing == 0:
            missing = self.period
        rows = F.pad(rows, (0, missing), mode="reflect")
        maps = through(rows.unflatten(-1, (-1, self.period)), self.convs, _SLOPE)
        logits = self.post(maps[-1])
        features = maps[self.skip_features :]
        return logits, [*features, logits] if self.match_logits else features


class MultiPeriodDiscriminator(DiscriminatorSet):
    """One sub-discriminator for each period.

    Args:
        periods: samples, primes so that they overlap little.
        channels: after each convolution.
        strides: of each convolution, along the columns.
        kernel_size: of each convolution.
        skip_features: so many first feature maps are not matched.
        match_logits: the logits are the last feature map.
        always_pad: a waveform whose length is a multiple of the period gets one more row.
        normalise: see `DiscriminatorSet`.
    """

    def __init__(
        self,
        periods: Sequence[int] = (2, 3, 5, 7, 11),
        channels: Sequence[int] = (32, 128, 512, 1024, 1024),
        strides: Sequence[int] = (3, 3, 3, 3, 1),
        kernel_size: int = 5,
        skip_features: int = 0,
        match_logits: bool = True,
        always_pad: bool = False,
        normalise: bool = False,
    ):
        if not periods or min(periods) < 1:
            raise ValueError(f"periods are {list(periods)}: expected whole numbers from 1")
        if len(channels) != len(strides):
            raise ValueError(
                f"channels {tuple(channels)} and strides {tuple(strides)} differ in number: "
                "expected one stride for each convolution"
            )
        super().__init__(
            (
                PeriodDiscriminator(
                    period, channels, strides, kernel_size, skip_features, match_logits, always_pad
                )
                for period in periods
            ),
            normalise,
        )
