"""The convolutional blocks of DAC, which SNAC, LM-SPT and BigCodec share, and the network of DAC.

Kumar et al. 2023 (DAC), arXiv 2306.06546, section 3.1; Snake is Ziyin et al. 2020, arXiv
2006.08195. Weight normalisation is folded into the weights on loading.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn.outputs import Output
from audiotok.nn.quantizers import FactorizedResidualQuantizer, losses_of

DILATIONS = (1, 3, 9)  # of the three residual units of a block
KERNEL = 7  # of a residual unit, and of the first and the last convolution
Activation = Callable[[int], nn.Module]  # makes one for a number of channels


class Snake(nn.Module):
    """x + sin²(αx) / α, with one α for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        gain = (self.alpha + 1e-9).reciprocal()
        if torch.is_grad_enabled():
            return hidden + gain * (self.alpha * hidden).sin().square()
        wave = (self.alpha * hidden).sin_()  # the same, in two buffers instead of five
        return torch.addcmul(hidden, wave.square_(), gain)


class ResidualUnit(nn.Module):
    """x + conv1(Snake(conv7(Snake(x)))).

    Args:
        channels: C.
        dilation: of the wide convolution.
        groups: of the wide convolution; `channels` of them in SNAC.
        activation: instead of Snake.
    """

    def __init__(
        self, channels: int, dilation: int, groups: int = 1, activation: Activation = Snake
    ):
        super().__init__()
        padding = KERNEL // 2 * dilation
        self.layers = nn.Sequential(
            activation(channels),
            nn.Conv1d(
                channels, channels, KERNEL, dilation=dilation, padding=padding, groups=groups
            ),
            activation(channels),
            nn.Conv1d(channels, channels, 1),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return hidden + self.layers(hidden)


def residual_units(
    channels: int, groups: int = 1, activation: Activation = Snake
) -> list[ResidualUnit]:
    """The three residual units of a block."""
    return [ResidualUnit(channels, dilation, groups, activation) for dilation in DILATIONS]


class EncoderBlock(nn.Module):
    """Three residual units, and a convolution to twice the channels that strides."""

    def __init__(self, channels: int, stride: int, groups: int = 1, activation: Activation = Snake):
        super().__init__()
        padding = math.ceil(stride / 2)
        self.layers = nn.Sequential(
            *residual_units(channels, groups, activation),
            activation(channels),
            nn.Conv1d(channels, 2 * channels, 2 * stride, stride, padding),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, 2 C, T / stride), for T a multiple of the stride."""
        return self.layers(hidden)


class DecoderBlock(nn.Module):
    """A transposed convolution to half the channels, and three residual units.

    An odd stride loses one sample, as in the official code of DAC, unless `whole`.
    """

    def __init__(
        self, channels: int, stride: int, activation: Activation = Snake, whole: bool = False
    ):
        super().__init__()
        half, padding, extra = channels // 2, math.ceil(stride / 2), stride % 2 if whole else 0
        self.layers = nn.Sequential(
            activation(channels),
            nn.ConvTranspose1d(channels, half, 2 * stride, stride, padding, extra),
            *residual_units(half, activation=activation),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C / 2, T * stride), one less where an odd stride loses a sample."""
        return self.layers(hidden)


class DACEncoder(nn.Module):
    """Waveform to latents, one frame per `hop_length` samples.

    Args:
        dimension: channels of the latents.
        num_filters: channels after the first convolution; they double at every stride.
        strides: downsampling factors in the order in which they are applied.
    """

    zero_filled = True  # zeros complete the last frame

    def __init__(self, dimension: int, num_filters: int, strides: Sequence[int]):
        super().__init__()
        self.hop_length = math.prod(strides)
        widths = [num_filters * 2**index for index in range(len(strides) + 1)]
        self.layers = nn.Sequential(
            nn.Conv1d(1, num_filters, KERNEL, padding=KERNEL // 2),
            *(EncoderBlock(width, stride) for width, stride in zip(widths, strides, strict=False)),
            Snake(widths[-1]),
            nn.Conv1d(widths[-1], dimension, 3, padding=1),
        )

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, 1, L) -> latents (B, D, ceil(L / hop_length)); padded with zeros to whole frames."""
        return self.layers(F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length)))


class DACDecoder(nn.Module):
    """Quantized vectors to a waveform.

    Args:
        dimension: channels of the vectors.
        channels: after the first convolution; they halve at every stride.
        strides: upsampling factors in the order in which they are applied.
    """

    def __init__(self, dimension: int, channels: int, strides: Sequence[int]):
        super().__init__()
        self.hop_length = math.prod(strides)
        widths = [channels // 2**index for index in range(len(strides) + 1)]
        self.layers = nn.Sequential(
            nn.Conv1d(dimension, channels, KERNEL, padding=KERNEL // 2),
            *(DecoderBlock(width, stride) for width, stride in zip(widths, strides, strict=False)),
            Snake(widths[-1]),
            nn.Conv1d(widths[-1], 1, KERNEL, padding=KERNEL // 2),
            nn.Tanh(),
        )

    def forward(self, quantized: Tensor) -> Tensor:
        """(B, dimension, T) -> (B, 1, T * hop_length).

        Samples lost by odd strides are replaced by zeros at the end: 8 in DAC at 16 and 24 kHz, 4
        in LM-SPT.
        """
        waveform = self.layers(quantized)
        return F.pad(waveform, (0, quantized.shape[-1] * self.hop_length - waveform.shape[-1]))


def encoder_reach(strides: Sequence[int], last_kernel: int = 3, activation: int = 0) -> int:
    """How many samples past the end of a frame an encoder of these blocks looks.

    Args:
        strides: of its blocks, in the order in which they are applied.
        last_kernel: of the convolution at the end, 3 in DAC and 7 in SNAC.
        activation: how many samples past its input each activation looks.
    """
    reach, rate = KERNEL // 2, 1
    units = KERNEL // 2 * sum(DILATIONS) + 2 * len(DILATIONS) * activation
    for stride in strides:
        reach += rate * (units + activation + stride // 2)
        rate *= stride
    return reach + rate * (activation + last_kernel // 2)


def decoder_reach(strides: Sequence[int]) -> int:
    """How many frames around a frame its samples depend on, in a decoder of these blocks.

    Args:
        strides: of its blocks, in the order in which they are applied.
    """
    reach, rate = float(KERNEL // 2), 1
    for stride in strides:
        reach += 1 / rate
        rate *= stride
        reach += KERNEL // 2 * sum(DILATIONS) / rate
    return math.ceil(reach + KERNEL // 2 / rate)


class DACConfig(BaseModel):
    """Sizes of the network; the defaults are those of the official checkpoint at 44.1 kHz."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample_rate: int = 44100
    strides: tuple[int, ...] = (2, 4, 8, 8)  # of the encoder, in order of application
    num_filters: int = 64
    dimension: int = 1024
    decoder_strides: tuple[int, ...] = (8, 8, 4, 2)
    decoder_channels: int = 1536
    num_codebooks: int = 9
    codebook_size: int = 1024
    codebook_dim: int = 8


class DACNetwork(nn.Module):
    """Waveform (B, 1, L) to codes (B, K, T) to waveform (B, 1, T * hop_length)."""

    def __init__(self, config: DACConfig):
        super().__init__()
        self.config = config
        self.encoder = DACEncoder(config.dimension, config.num_filters, config.strides)
        self.quantizer = FactorizedResidualQuantizer(
            config.num_codebooks, config.codebook_size, config.dimension, config.codebook_dim
        )
        self.decoder = DACDecoder(config.dimension, config.decoder_channels, config.decoder_strides)

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return math.prod(self.config.strides)

    def encode(self, waveform: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Waveform (B, 1, L) -> codes (B, K, ceil(L / hop_length)), -1 where not finite."""
        return self.quantize(self.encoder(waveform), num_codebooks)

    def quantize(self, latents: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Latents (B, D, T) -> codes (B, K, T), -1 where they are not finite."""
        with exactly(latents):
            return self.quantizer.encode(latents.float(), num_codebooks)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, K', T) of the first K' codebooks -> waveform (B, 1, T * hop_length)."""
        return self.decoder(self.quantizer.decode(codes))

    def forward(self, waveform: Tensor, quantize: bool = True) -> Output:
        """A training step's forward; without `quantize`, latents go to the decoder as they are."""
        latents = self.encoder(waveform)
        if not quantize:
            return Output(self.decoder(latents), latents, None, {})
        with exactly(latents):
            result = self.quantizer(latents.float())
        return Output(self.decoder(result.quantized), latents, result.codes, losses_of(result))


def exactly(latents: Tensor) -> torch.autocast:
    """A context without autocast, so that a search uses latents in full precision."""
    return torch.autocast(latents.device.type, enabled=False)
