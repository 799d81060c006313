"""The network of BigCodec: DAC's blocks with alias-free activations and an LSTM on either side.

Xin et al. 2024, arXiv 2409.05377, section 2. Weight normalisation is folded into the weights on
loading.
"""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from audiotok.nn.alias_free import REACH, AliasFreeSnake
from audiotok.nn.dac import KERNEL, DecoderBlock, EncoderBlock, encoder_reach, exactly
from audiotok.nn.quantizers import FactorizedResidualQuantizer
from audiotok.nn.seanet import ResidualLSTM


class BigCodecConfig(BaseModel):
    """Sizes of the network; the defaults are those of the official checkpoint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strides: tuple[int, ...] = (2, 2, 2, 5, 5)  # of the encoder, in order of application
    num_filters: int = 48
    dimension: int = 1024
    decoder_strides: tuple[int, ...] = (5, 5, 2, 2, 2)
    decoder_channels: int = 1536
    num_lstm_layers: int = 2
    codebook_size: int = 8192
    codebook_dim: int = 8

    @property
    def reach(self) -> int:
        """Samples past the end of a frame that its latents depend on."""
        return encoder_reach(self.strides, activation=REACH)


class BigCodecNetwork(nn.Module):
    """Waveform (B, 1, T * hop_length) to codes (B, 1, T) to waveform (B, 1, T * hop_length)."""

    def __init__(self, config: BigCodecConfig):
        super().__init__()
        self.config = config
        self.hop_length = math.prod(config.strides)
        self.encoder = nn.Sequential(*_encoder_layers(config))
        self.quantizer = FactorizedResidualQuantizer(
            1, config.codebook_size, config.dimension, config.codebook_dim
        )
        self.decoder = nn.Sequential(*_decoder_layers(config))

    def quantize(self, latents: Tensor) -> Tensor:
        """Latents (B, D, T) -> codes (B, 1, T), -1 where they are not finite."""
        with exactly(latents):
            return self.quantizer.encode(latents.float())

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, 1, T) -> waveform (B, 1, T * hop_length)."""
        return self.decoder(self.quantizer.decode(codes))


def _encoder_layers(config: BigCodecConfig) -> list[nn.Module]:
    width = config.num_filters
    layers: list[nn.Module] = [nn.Conv1d(1, width, KERNEL, padding=KERNEL // 2)]
    for stride in config.strides:
        layers.append(EncoderBlock(width, stride, activation=AliasFreeSnake))
        width *= 2
    layers += [ResidualLSTM(width, config.num_lstm_layers), AliasFreeSnake(width)]
    return [*layers, nn.Conv1d(width, config.dimension, 3, padding=1)]


def _decoder_layers(config: BigCodecConfig) -> list[nn.Module]:
    width = config.decoder_channels
    layers = [
        nn.Conv1d(config.dimension, width, KERNEL, padding=KERNEL // 2),
        ResidualLSTM(width, config.num_lstm_layers),
    ]
    for stride in config.decoder_strides:
        layers.append(DecoderBlock(width, stride, activation=AliasFreeSnake, whole=True))
        width //= 2
    layers += [AliasFreeSnake(width), nn.Conv1d(width, 1, KERNEL, padding=KERNEL // 2)]
    return [*layers, nn.Tanh()]
