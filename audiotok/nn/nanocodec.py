"""The network of NanoCodec: HiFi-GAN's residual blocks on both sides of grouped scalar quantizers.

Casanova et al. 2025, arXiv 2508.05835, section 2; the blocks are those of Kong et al. 2020
(HiFi-GAN), arXiv 2010.05646. The decoder is causal. Modules have the names of NeMo's state dict,
without the levels that hold one module only. Weight normalisation is folded into the weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn.convolutions import LeftPaddedConv1d
from audiotok.nn.dac import Snake
from audiotok.nn.quantizers import FiniteScalarQuantizer, GroupedQuantizer

ActivationName = Literal["elu", "lrelu", "snake", "half_snake"]
_SHRINK = 1 - 1e-3  # of the bound, so that no value is rounded past the last level


class _Sizes(BaseModel):
    """Fields that both sides share in NeMo's `model_config.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    in_kernel_size: int = 7
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilation_sizes: tuple[int, ...] = (1, 3, 5)
    activation: ActivationName = "lrelu"


class EncoderConfig(_Sizes):
    """Of HiFiGANEncoder."""

    encoded_dim: int
    down_sample_rates: tuple[int, ...] = (2, 2, 8, 8)
    base_channels: int = 32
    out_kernel_size: int = 7
    pad_mode: Literal["zeros", "reflect", "replicate", "circular"] = "reflect"

    @property
    def reach(self) -> int:
        """Samples past the end of a frame that its latents depend on."""
        widest, dilations = max(self.resblock_kernel_sizes) - 1, self.resblock_dilation_sizes
        block = (widest * sum(dilations) + widest * len(dilations)) // 2
        reach, rate = self.in_kernel_size // 2, 1
        for stride in self.down_sample_rates:
            reach += rate * (block + stride // 2)
            rate *= stride
        return reach + rate * (self.out_kernel_size // 2)


class DecoderConfig(_Sizes):
    """Of CausalHiFiGANDecoder."""

    input_dim: int
    up_sample_rates: tuple[int, ...] = (8, 8, 2, 2)
    base_channels: int = 512
    out_kernel_size: int = 3
    output_activation: Literal["tanh", "clamp"] = "tanh"
    pad_mode: Literal["zeros"] = "zeros"
    n_groups_equal_to_out_channels: bool = True


class QuantizerConfig(BaseModel):
    """Of GroupFiniteScalarQuantizer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_groups: int
    num_levels_per_group: tuple[int, ...]


class HalfSnake(nn.Module):
    """Snake of the first half of the channels, leaky ReLU of the others."""

    def __init__(self, channels: int):
        super().__init__()
        self.snake = Snake(channels // 2)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        half = self.snake.alpha.shape[1]
        return torch.cat([self.snake(hidden[:, :half]), F.leaky_relu(hidden[:, half:])], dim=1)


def _activation(name: ActivationName, channels: int) -> nn.Module:
    kinds = {"elu": nn.ELU, "lrelu": nn.LeakyReLU}
    if name in kinds:
        return kinds[name]()
    return Snake(channels) if name == "snake" else HalfSnake(channels)


def _convolution(pad_mode: str | None, *sizes: int, dilation: int = 1) -> nn.Conv1d:
    """In and out channels, kernel and stride: padded with zeros on the left, or on both sides."""
    kernel, stride = sizes[2], (*sizes, 1)[3]
    if pad_mode is None:
        return LeftPaddedConv1d(*sizes, dilation=dilation, causal=True, mode="constant")
    padding = ((kernel - 1) * dilation if stride == 1 else kernel - stride + 1) // 2
    return nn.Conv1d(*sizes[:3], stride, padding, dilation, padding_mode=pad_mode)


class ResidualBlock(nn.Module):
    """x + conv(activation(dilated conv(activation(x))))."""

    def __init__(self, channels: int, kernel: int, dilation: int, activation: str, pad_mode):
        super().__init__()
        self.input_activation = _activation(activation, channels)
        self.input_conv = _convolution(pad_mode, channels, channels, kernel, dilation=dilation)
        self.skip_activation = _activation(activation, channels)
        self.skip_conv = _convolution(pad_mode, channels, channels, kernel)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        inner = self.skip_activation(self.input_conv(self.input_activation(hidden)))
        return hidden + self.skip_conv(inner)


class ResidualLayer(nn.Module):
    """The mean of chains of residual blocks, one chain for each kernel size."""

    def __init__(self, channels: int, config: _Sizes, pad_mode: str | None):
        super().__init__()
        self.res_blocks = nn.ModuleList(
            nn.Sequential(
                *(
                    ResidualBlock(channels, kernel, dilation, config.activation, pad_mode)
                    for dilation in config.resblock_dilation_sizes
                )
            )
            for kernel in config.resblock_kernel_sizes
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return sum(chain(hidden) for chain in self.res_blocks) / len(self.res_blocks)


class Encoder(nn.Module):
    """Waveform to latents."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        width, convolution = config.base_channels, partial(_convolution, config.pad_mode)
        self.pre_conv = convolution(1, width, config.in_kernel_size)
        self.res_layers, self.activations = nn.ModuleList(), nn.ModuleList()
        self.down_sample_conv_layers = nn.ModuleList()
        for stride in config.down_sample_rates:
            self.res_layers.append(ResidualLayer(width, config, config.pad_mode))
            self.activations.append(_activation(config.activation, width))
            self.down_sample_conv_layers.append(convolution(width, 2 * width, 2 * stride, stride))
            width *= 2
        self.post_activation = _activation(config.activation, width)
        self.post_conv = convolution(width, config.encoded_dim, config.out_kernel_size)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, 1, T * hop_length) -> latents (B, D, T)."""
        hidden = self.pre_conv(waveform)
        layers = (self.res_layers, self.activations, self.down_sample_conv_layers)
        for residual, activation, down in zip(*layers, strict=True):
            hidden = down(activation(residual(hidden)))
        return self.post_conv(self.post_activation(hidden))


class Decoder(nn.Module):
    """Quantized vectors to a waveform; causal."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        width, convolution = config.base_channels, partial(_convolution, None)
        self.clamped = config.output_activation == "clamp"
        self.pre_conv = convolution(config.input_dim, width, config.in_kernel_size)
        self.activations, self.up_sample_conv_layers = nn.ModuleList(), nn.ModuleList()
        self.res_layers = nn.ModuleList()
        for stride in config.up_sample_rates:
            half = width // 2
            groups = half if config.n_groups_equal_to_out_channels else 1
            self.activations.append(_activation(config.activation, width))
            self.up_sample_conv_layers.append(
                nn.ConvTranspose1d(width, half, 2 * stride, stride, groups=groups)
            )
            self.res_layers.append(ResidualLayer(half, config, None))
            width = half
        self.post_activation = _activation(config.activation, width)
        self.post_conv = convolution(width, 1, config.out_kernel_size)

    def forward(self, quantized: Tensor) -> Tensor:
        """(B, D, T) -> (B, 1, T * hop_length)."""
        hidden = self.pre_conv(quantized)
        layers = (self.activations, self.up_sample_conv_layers, self.res_layers)
        for activation, up, residual in zip(*layers, strict=True):
            length = hidden.shape[-1] * up.stride[0]
            hidden = residual(up(activation(hidden))[..., :length])  # the rest is of later frames
        waveform = self.post_conv(self.post_activation(hidden))
        return waveform.clamp(-1.0, 1.0) if self.clamped else waveform.tanh()


class ShrunkScalarQuantizer(FiniteScalarQuantizer):
    """Finite scalar quantization with NeMo's bound, which is a little below the outer levels."""

    def _bound(self, latents: Tensor) -> Tensor:
        sizes = self._sizes.to(latents.dtype)
        half = (sizes - 1) / 2 * _SHRINK
        offset = (sizes % 2 == 0) * 0.5
        return half * (latents + (offset / half).tan()).tanh() - offset

    def _search(self, projected: Tensor) -> Tensor:
        """Latents (B, d, T) -> codes (B, 1, T), rounded in fp64; -1 where not finite."""
        exact = projected.detach().double()
        levels = self._bound(exact).round() + self._sizes.double() // 2
        steps = [math.prod(self.levels[:number]) for number in range(len(self.levels))]
        codes = (levels * levels.new_tensor(steps)[:, None]).sum(1)
        return codes.where(exact.isfinite().all(1), -1).long()[:, None]


class NanoCodecNetwork(nn.Module):
    """Waveform (B, 1, T * hop_length) to codes (B, K, T) to waveform (B, 1, T * hop_length)."""

    def __init__(self, encoder: EncoderConfig, decoder: DecoderConfig, quantizer: QuantizerConfig):
        super().__init__()
        self.audio_encoder, self.audio_decoder = Encoder(encoder), Decoder(decoder)
        levels: Sequence[int] = quantizer.num_levels_per_group
        self.quantizer = GroupedQuantizer(
            [ShrunkScalarQuantizer(levels) for _ in range(quantizer.num_groups)]
        )
