"""Encoder and decoder of SoundStream with separable convolutions, causal, as in Lyra v2.

Zeghidour et al. 2021, arXiv 2107.03312. Lyra v2 (github.com/google/lyra) has these layers with the
default sizes and strides 16, 5, 2, 2: depthwise convolutions in the residual units, grouped ones
elsewhere. All padding is zeros on the left, so no frame depends on later samples.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn.convolutions import LeftPaddedConv1d
from audiotok.nn.pieces import Convolution, Pieces, Sum, Transposed, pieces
from audiotok.nn.states import Stateful

_SLOPE = 0.3  # of the leaky ReLU
_DILATIONS = (1, 3, 9)
_Activation = partial(nn.LeakyReLU, _SLOPE)


class SoundStreamSizes(BaseModel):
    """Of both sides; channels double at each stride after the first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(64, gt=0)  # channels after the first stride
    group_width: int = Field(64, gt=0)  # channels that a group of a convolution reads


class CausalConv1d(LeftPaddedConv1d):
    """A convolution with zeros on the left: frame t sees the samples before (t + 1) * stride.

    Attributes:
        left: samples of padding.
    """

    def __init__(self, *sizes: int, **settings: Any):
        super().__init__(*sizes, causal=True, mode="constant", **settings)
        self.left -= self.stride[0] - 1


class CausalConvTranspose1d(nn.ConvTranspose1d):
    """A transposed convolution of T frames to T * stride samples; the rest is cut off."""

    def forward(self, frames: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T * stride)."""
        return super().forward(frames)[..., : frames.shape[-1] * self.stride[0]]


class SeparableUnit(nn.Module):
    """x + pointwise(pointwise(depthwise convolution of x))."""

    def __init__(self, channels: int, dilation: int, groups: int):
        super().__init__()
        self.block = nn.Sequential(
            _Activation(),
            CausalConv1d(channels, channels, 3, dilation=dilation, groups=channels, bias=False),
            CausalConv1d(channels, channels, 1),
            _Activation(),
            CausalConv1d(channels, channels, 1, groups=groups),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return hidden + self.block(hidden)


class WholeFrames(nn.Module):
    """Zeros fill the last frame of a sound."""

    def __init__(self, hop_length: int):
        super().__init__()
        self.hop_length = hop_length

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, L'), L' a multiple of the hop."""
        return F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length))


class SoundStreamEncoder(nn.Module):
    """Waveform to latents.

    Args:
        dimension: channels of the latents.
        strides: downsampling factors in the order in which they are applied.
    """

    def __init__(self, dimension: int, strides: tuple[int, ...], sizes: SoundStreamSizes):
        super().__init__()
        self.hop_length = math.prod(strides)
        first, *others = strides
        channels, groups = sizes.width, _groups(sizes.width, sizes)
        layers = [WholeFrames(self.hop_length), CausalConv1d(1, channels, 4 * first, first)]
        for stride in others:
            groups = _groups(channels, sizes)
            layers += _units(channels, groups)
            layers.append(CausalConv1d(channels, 2 * channels, 2 * stride, stride, groups=groups))
            channels *= 2
        layers += [_Activation(), CausalConv1d(channels, dimension, 3, groups=groups)]
        self.layers = nn.Sequential(*layers)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, 1, L) -> latents (B, dimension, ceil(L / hop_length))."""
        return self.layers(waveform)


class SoundStreamBackbone(nn.Sequential):
    """Quantized (B, D, T) to frames (B, C, T * product of all strides but the first): the encoder
    in reverse, up to its first layer."""

    def __init__(self, dimension: int, strides: tuple[int, ...], sizes: SoundStreamSizes):
        channels = sizes.width * 2 ** (len(strides) - 1)
        groups = _groups(max(channels // 2, sizes.width), sizes)
        layers: list[nn.Module] = [
            CausalConv1d(dimension, channels, 3, groups=groups),
            _Activation(),
        ]
        for stride in reversed(strides[1:]):
            channels //= 2
            groups = _groups(channels, sizes)
            layers.append(
                CausalConvTranspose1d(2 * channels, channels, 2 * stride, stride, groups=groups)
            )
            layers += _units(channels, groups)
        super().__init__(*layers)


class SoundStreamHead(CausalConvTranspose1d):
    """Frames (B, C, T) to a waveform (B, 1, T * stride)."""

    def __init__(self, sizes: SoundStreamSizes, stride: int):
        super().__init__(sizes.width, 1, 4 * stride, stride)


def _groups(channels: int, sizes: SoundStreamSizes) -> int:
    return max(1, channels // sizes.group_width)


def _units(channels: int, groups: int) -> list[nn.Module]:
    """Residual units, and the activation after them."""
    return [*(SeparableUnit(channels, d, groups) for d in _DILATIONS), _Activation()]


class _Filling(Stateful):
    """`WholeFrames` piece by piece."""

    NUMBERS = ("length",)

    def __init__(self, layer: WholeFrames):
        self.hop_length, self.length = layer.hop_length, 0

    def __call__(self, waveform: Tensor, last: bool) -> Tensor:
        self.length = (self.length + waveform.shape[-1]) % self.hop_length
        return F.pad(waveform, (0, -self.length % self.hop_length)) if last else waveform


@pieces.register
def _(layer: WholeFrames) -> Pieces:
    return _Filling(layer)


@pieces.register
def _(layer: CausalConv1d) -> Pieces:
    return Convolution(layer, layer, layer.left, mode="constant")


@pieces.register
def _(layer: CausalConvTranspose1d) -> Pieces:
    return Transposed(layer)


@pieces.register
def _(layer: SeparableUnit) -> Pieces:
    return Sum(pieces(nn.Identity()), pieces(layer.block))


@pieces.register
def _(network: SoundStreamEncoder) -> Pieces:
    return pieces(network.layers)
