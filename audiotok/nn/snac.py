"""The network of SNAC: DAC's blocks with depthwise convolutions, local attention and noise.

Siuzdak et al. 2024, arXiv 2410.14411, sections 3.1 to 3.4; its quantizer, whose codebooks run at
different rates, is DAC's with strides. The rotary position embedding is that of Su et al. 2021,
arXiv 2104.09864.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn.dac import (
    KERNEL,
    EncoderBlock,
    Snake,
    encoder_reach,
    exactly,
    residual_units,
)
from audiotok.nn.quantizers import FactorizedResidualQuantizer

HEAD = 64  # channels of one head of the attention


class LocalAttention(nn.Module):
    """x + attention within windows of `size` frames that do not overlap.

    If T is no multiple of `size`, the last window is shorter.
    """

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.size = size
        self.norm = nn.LayerNorm(channels)
        self.to_qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.to_out = nn.Linear(channels, channels, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        whole = hidden.shape[-1] // self.size * self.size
        frames = self.norm(hidden.transpose(1, 2))
        parts = [self._within(frames[:, :whole].unflatten(1, (-1, self.size)))] if whole else []
        if whole < hidden.shape[-1]:
            parts.append(self._within(frames[:, None, whole:]))
        return hidden + torch.cat(parts, dim=1).transpose(1, 2)

    def _within(self, windows: Tensor) -> Tensor:
        """(B, W, n, C) -> (B, W * n, C)."""
        split = self.to_qkv(windows).unflatten(-1, (3, -1, HEAD))  # (B, W, n, 3, heads, HEAD)
        query, key, value = split.transpose(2, 4).unbind(3)  # each (B, W, heads, n, HEAD)
        attended = F.scaled_dot_product_attention(rotated(query), rotated(key), value)
        return self.to_out(attended.transpose(2, 3).flatten(3)).flatten(1, 2)


def rotated(vectors: Tensor) -> Tensor:
    """Rotary embedding of vectors (..., n, d): position p turns plane i by p / 10000^(2 i / d)."""
    num_frames, dimension = vectors.shape[-2:]
    even = torch.arange(0, dimension, 2, device=vectors.device).float()
    frequencies = 1.0 / (10000 ** (even / dimension))
    angles = torch.arange(num_frames, device=vectors.device).float()[:, None] * frequencies
    first, second = vectors.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class NoiseBlock(nn.Module):
    """x + noise * linear(x), with the same noise for all channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.linear = nn.Conv1d(channels, channels, 1, bias=False)

    def forward(self, hidden: Tensor, noise: Tensor) -> Tensor:
        """(B, C, T) and noise (B, 1, T) -> (B, C, T)."""
        return hidden + noise * self.linear(hidden)


class SNACDecoderBlock(nn.Module):
    """A transposed convolution to half the channels, noise, and three residual units."""

    def __init__(self, channels: int, stride: int, depthwise: bool, noise: bool):
        super().__init__()
        half = channels // 2
        self.layers = nn.Sequential(
            Snake(channels),
            nn.ConvTranspose1d(
                channels, half, 2 * stride, stride, math.ceil(stride / 2), stride % 2
            ),
            *([NoiseBlock(half)] if noise else []),
            *residual_units(half, half if depthwise else 1),
        )

    def forward(self, hidden: Tensor, noise: Tensor | None) -> Tensor:
        """(B, C, T) and noise (B, 1, T * stride), if any -> (B, C / 2, T * stride)."""
        for layer in self.layers:
            hidden = layer(hidden, noise) if isinstance(layer, NoiseBlock) else layer(hidden)
        return hidden


class SNACConfig(BaseModel):
    """Sizes of the network; the defaults are those of the official checkpoint at 24 kHz."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strides: tuple[int, ...] = (2, 4, 8, 8)  # of the encoder, in order of application
    num_filters: int = 48
    dimension: int = 768
    decoder_strides: tuple[int, ...] = (8, 8, 4, 2)
    decoder_channels: int = 1024
    attention_window: int | None = None  # frames; None: there is no attention
    codebook_size: int = 4096
    codebook_dim: int = 8
    codebook_strides: tuple[int, ...] = (4, 2, 1)  # frames per code of each codebook
    noise: bool = True
    depthwise: bool = True

    @property
    def unit(self) -> int:
        """The least common multiple of attention window and codebook strides, frames."""
        return math.lcm(*self.codebook_strides, self.attention_window or 1)

    @property
    def reach(self) -> int:
        """The most samples past the end of a frame that its codes depend on."""
        group, window = max(self.codebook_strides), self.attention_window or 1
        ends = []
        for frame in range(self.unit):
            pooled = frame // group * group + group - 1  # the last frame that shares its code
            convolved = pooled + KERNEL // 2
            ends.append(convolved // window * window + window - 1 - frame)
        return max(ends) * math.prod(self.strides) + encoder_reach(self.strides, last_kernel=1)


class SNACNetwork(nn.Module):
    """Waveform (B, 1, L) to codes (B, K, T) to waveform (B, 1, T * hop_length).

    The frames of a code and of an attention window are counted from the start of the waveform.
    """

    def __init__(self, config: SNACConfig):
        super().__init__()
        self.config = config
        self.hop_length = math.prod(config.strides)
        self.encoder = _Layers(_encoder_layers(config))
        self.quantizer = FactorizedResidualQuantizer(
            len(config.codebook_strides),
            config.codebook_size,
            config.dimension,
            config.codebook_dim,
            config.codebook_strides,
        )
        self.decoder = _Layers(_decoder_layers(config))

    def encode(self, waveform: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Waveform (B, 1, L) -> codes (B, K, ceil(L / hop_length)), -1 where not finite.

        As in the official code, the waveform is padded with zeros to a whole attention window and
        whole codes of each codebook; codes of padding only are removed.
        """
        codes = self.quantize(self.latents(waveform), num_codebooks)
        return codes[..., : -(-waveform.shape[-1] // self.hop_length)]

    def latents(self, waveform: Tensor) -> Tensor:
        """Waveform (B, 1, L) -> latents (B, D, T), T frames up to the end of the last window."""
        unit = self.config.unit * self.hop_length
        return self.encoder(F.pad(waveform, (0, -waveform.shape[-1] % unit)))

    def quantize(self, latents: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Latents (B, D, T) -> codes (B, K, T), -1 where they are not finite."""
        with exactly(latents):
            return self.quantizer.encode(latents.float(), num_codebooks)

    def decode(self, codes: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """Codes (B, K', T) of the first K' codebooks -> waveform (B, 1, T * hop_length).

        Args:
            noise: for each block of the decoder (B, 1, samples), see `noise_rates`; ignored if the
                configuration has no noise.
        """
        return self.synthesize(self.quantizer.decode(codes), noise)

    def synthesize(self, hidden: Tensor, noise: Sequence[Tensor]) -> Tensor:
        """Quantized vectors (B, D, T) and noise as in `decode` -> (B, 1, T * hop_length)."""
        noise = iter(noise)
        for layer in self.decoder.layers:
            if isinstance(layer, SNACDecoderBlock):
                hidden = layer(hidden, next(noise, None))
            else:
                hidden = layer(hidden)
        return hidden

    @property
    def noise_rates(self) -> list[int]:
        """Samples of noise that each block of the decoder takes per frame."""
        strides = self.config.decoder_strides if self.config.noise else ()
        return [math.prod(strides[: index + 1]) for index in range(len(strides))]


class _Layers(nn.Module):
    """A sequence of layers under the name `layers`, as in the renamed keys of checkpoints."""

    def __init__(self, layers: list[nn.Module]):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.layers(hidden)


def _encoder_layers(config: SNACConfig) -> list[nn.Module]:
    width = config.num_filters
    layers: list[nn.Module] = [nn.Conv1d(1, width, KERNEL, padding=KERNEL // 2)]
    for stride in config.strides:
        layers.append(EncoderBlock(width, stride, width if config.depthwise else 1))
        width *= 2
    if config.attention_window:
        layers.append(LocalAttention(width, config.attention_window))
    return [*layers, _wide(width, width, config.depthwise)]


def _decoder_layers(config: SNACConfig) -> list[nn.Module]:
    width, dimension = config.decoder_channels, config.dimension
    layers: list[nn.Module] = [_wide(dimension, width, False)]
    if config.depthwise:
        layers = [_wide(dimension, dimension, True), nn.Conv1d(dimension, width, 1)]
    if config.attention_window:
        layers.append(LocalAttention(width, config.attention_window))
    for stride in config.decoder_strides:
        layers.append(SNACDecoderBlock(width, stride, config.depthwise, config.noise))
        width //= 2
    return [*layers, Snake(width), _wide(width, 1, False), nn.Tanh()]


def _wide(channels: int, out_channels: int, depthwise: bool) -> nn.Conv1d:
    groups = channels if depthwise else 1
    return nn.Conv1d(channels, out_channels, KERNEL, padding=KERNEL // 2, groups=groups)
