"""Layers behind a decoder that raise its output rate: interpolation, and what they add to it."""

from __future__ import annotations

from torch import Tensor, nn

from audiotok.nn.convnext import ConvNeXtEncoder, ConvNeXtSizes
from audiotok.nn.convolutions import TrimmedConvTranspose1d
from audiotok.sound.sinc import Resample

_FRAMES = 200  # per second, in which the layers work


class Longer(nn.Module):
    """Waveform (B, C, L) at `sample_rate` Hz to (B, C, L * factor), each channel alone.

    ConvNeXt blocks on frames of a filterbank add to the sound what interpolation cannot give. They
    start with zeros: without training the result is the interpolated sound.

    Args:
        width: channels of the frames.
        depth: blocks.
    """

    def __init__(self, sample_rate: int, factor: int, width: int, depth: int):
        super().__init__()
        self.factor = factor
        hop = max(1, sample_rate // _FRAMES)
        sizes = ConvNeXtSizes(widths=(width,), depths=(depth,))
        self.encoder = ConvNeXtEncoder(width, (hop,), sizes)
        self.synthesis = TrimmedConvTranspose1d(width, 1, hop * factor)
        nn.init.zeros_(self.synthesis.weight)
        nn.init.zeros_(self.synthesis.bias)
        self._resample = Resample(1, factor)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, L * factor)."""
        channels = waveform.flatten(0, 1)[:, None]
        added = self.synthesis(self.encoder(channels))[..., : waveform.shape[-1] * self.factor]
        return self._resample(waveform) + added.view(*waveform.shape[:2], -1)
