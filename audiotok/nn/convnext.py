"""Encoder and decoder of ConvNeXt blocks between learned filterbanks.

As in MDCTCodec (Jiang et al. 2024, arXiv 2411.00464), the blocks run on frames of a lapped
transform instead of samples, which costs much less time than SEANet. The filterbanks start as the
MDCT and are learned. ConvNeXt: Liu et al. 2022, arXiv 2201.03545; no norm stands between the blocks
and the output, so that levels pass.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from audiotok.nn.convolutions import PaddedConv1d, TrimmedConvTranspose1d
from audiotok.nn.seanet import Snake

Activation = Literal["gelu", "elu", "snake"]
_GAIN = 20  # of the encoder's filterbank: lifts speech (RMS near 0.05) to about 1


class ConvNeXtSizes(BaseModel):
    """Of both sides, for each stride in the order in which the encoder applies them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    widths: tuple[int, ...]  # channels after the stride; the first stride is that of the filterbank
    depths: tuple[int, ...]  # blocks after the stride
    expansion: int = Field(2, gt=0)  # of the width inside a block
    activation: Activation = "gelu"

    @model_validator(mode="after")
    def _agree(self) -> ConvNeXtSizes:
        if len(self.widths) != len(self.depths) or min(self.widths) < 1 or min(self.depths) < 0:
            raise ValueError(
                f"widths {self.widths} and depths {self.depths}: expected one positive width, and "
                "one depth from 0 on, for each stride"
            )
        return self


class FrameNorm(nn.Module):
    """Layer norm of each frame."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return self.norm(hidden.transpose(1, 2)).transpose(1, 2)


class Perceptron(nn.Module):
    """Two linear layers on each frame with an activation between them, and a scale per channel."""

    def __init__(self, channels: int, inner: int, scale: float, activation: Activation = "gelu"):
        super().__init__()
        kinds = {"gelu": nn.GELU, "elu": nn.ELU, "snake": lambda: Snake(inner)}
        self.activation = kinds[activation]()
        self.wide, self.narrow = nn.Linear(channels, inner), nn.Linear(inner, channels)
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        inner = self.activation(self.wide(hidden.transpose(1, 2)).transpose(1, 2))
        return (self.scale * self.narrow(inner.transpose(1, 2))).transpose(1, 2)


class ConvNeXtUnit(nn.Module):
    """x + perceptron(norm(depthwise convolution of x over 7 frames))."""

    def __init__(self, channels: int, sizes: ConvNeXtSizes, scale: float):
        super().__init__()
        self.block = nn.Sequential(
            PaddedConv1d(channels, channels, 7, groups=channels),
            FrameNorm(channels),
            Perceptron(channels, sizes.expansion * channels, scale, sizes.activation),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return hidden + self.block(hidden)


class ConvNeXtEncoder(nn.Module):
    """Waveform to latents.

    Args:
        dimension: channels of the latents.
        strides: downsampling factors in the order in which they are applied.
    """

    def __init__(self, dimension: int, strides: tuple[int, ...], sizes: ConvNeXtSizes):
        super().__init__()
        self.hop_length = math.prod(strides)
        layers: list[nn.Module] = []
        channels = 1
        for stride, width, depth in zip(strides, sizes.widths, sizes.depths, strict=True):
            layers.append(PaddedConv1d(channels, width, 2 * stride, stride))
            layers += _units(width, depth, sizes)
            channels = width
        self.layers = nn.Sequential(*layers, PaddedConv1d(channels, dimension, 1))
        _initialise(self.layers)
        _set_mdct(self.layers[0].weight, gain=_GAIN)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, 1, L) -> latents (B, dimension, ceil(L / hop_length))."""
        return self.layers(waveform)


class ConvNeXtBackbone(nn.Sequential):
    """Quantized (B, D, T) to frames (B, C, T * product of all strides but the first): the encoder
    in reverse, up to its filterbank."""

    def __init__(self, dimension: int, strides: tuple[int, ...], sizes: ConvNeXtSizes):
        layers: list[nn.Module] = [PaddedConv1d(dimension, sizes.widths[-1], 7)]
        for number in reversed(range(len(strides))):
            width = sizes.widths[number]
            layers += _units(width, sizes.depths[number], sizes)
            if number:
                layers.append(
                    TrimmedConvTranspose1d(width, sizes.widths[number - 1], strides[number])
                )
        super().__init__(*layers)
        _initialise(self)


class SynthesisFilterbank(TrimmedConvTranspose1d):
    """Frames (B, C, T) to a waveform (B, 1, T * hop_length)."""

    def __init__(self, channels: int, hop_length: int):
        super().__init__(channels, 1, hop_length)
        nn.init.zeros_(self.bias)
        _set_mdct(self.weight, gain=1 / _GAIN)


def _units(width: int, depth: int, sizes: ConvNeXtSizes) -> list[nn.Module]:
    scale = 1 / max(1, sum(sizes.depths))
    return [ConvNeXtUnit(width, sizes, scale) for _ in range(depth)]


@torch.no_grad()
def _initialise(layers: nn.Module) -> None:
    """An untrained network passes the lower part of the band: changes of rate and width copy the
    channels that fit, those of several frames side by side; weights inside of blocks are small."""
    for layer in layers.modules():
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv1d) and layer.groups > 1):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
            stride, weight = layer.stride[0], layer.weight
            first = (weight.shape[-1] - stride + 1) // 2  # tap of the first of the frames
            weight.normal_(std=0.02 / math.sqrt(weight[0].numel()))
            nn.init.zeros_(layer.bias)
            for channel in range(min(len(weight), weight.shape[1] * stride)):
                weight[channel, channel // stride, first + channel % stride] += 1


@torch.no_grad()
def _set_mdct(weight: Tensor, gain: float) -> None:
    """The first N filters of a filterbank (C, 1, 2 N) become the MDCT's with a sine window, times
    `gain`; the others become 0."""
    size = weight.shape[-1] // 2
    count = min(size, len(weight))
    time, band = torch.arange(2 * size) + 0.5, torch.arange(count)[:, None] + 0.5
    basis = torch.cos(math.pi / size * (time + size / 2) * band) * math.sqrt(2 / size)
    weight.zero_()
    weight[:count, 0] = gain * basis * torch.sin(math.pi / (2 * size) * time)
