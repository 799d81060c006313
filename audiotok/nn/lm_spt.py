"""LM-SPT: a semantic and an acoustic encoder, and two decoders, one for the semantic codes alone.

Jo et al. 2025, arXiv 2506.16738. `LMSPTConfig()` is the network of the published weights, built of
DAC's blocks, at 24 kHz. The network of the paper's first version, at 16 kHz, is not implemented:
too little about its transformers is published. The other kinds of encoders and decoders are those
of our small codecs, whose weights can initialise them (`adopt`).
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn.dac import DACDecoder, DACEncoder, exactly
from audiotok.nn.outputs import Output
from audiotok.nn.quantizers import (
    FactorizedResidualQuantizer,
    ResidualVectorQuantizer,
    SplitQuantizer,
    losses_of,
)
from audiotok.nn.seanet import SEANetEncoder
from audiotok.nn.vocos import ISTFTHead, VocosBackbone

AUXILIARY_RATE = 16000  # Hz, the input rate of speech encoders


class _Half(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DACEncoderConfig(_Half):
    """DAC's encoder."""

    kind: Literal["dac"] = "dac"
    strides: tuple[int, ...]  # in order of application
    num_filters: int

    @property
    def hop_length(self) -> int:
        return math.prod(self.strides)

    def build(self, dimension: int) -> nn.Module:
        return DACEncoder(dimension, self.num_filters, self.strides)


class SEANetEncoderConfig(_Half):
    """SEANet's encoder, and a convolution that pools frames, initialised as their mean."""

    kind: Literal["seanet"]
    strides: tuple[int, ...]
    num_filters: int
    num_lstm_layers: int
    pooling: int = Field(gt=0)  # frames in one

    @property
    def hop_length(self) -> int:
        return math.prod(self.strides) * self.pooling

    def build(self, dimension: int) -> nn.Module:
        return PooledSEANet(dimension, self)


class DACDecoderConfig(_Half):
    """DAC's decoder."""

    kind: Literal["dac"] = "dac"
    strides: tuple[int, ...]
    channels: int

    @property
    def hop_length(self) -> int:
        return math.prod(self.strides)

    def build(self, dimension: int) -> nn.Module:
        return DACDecoder(dimension, self.channels, self.strides)


class VocosDecoderConfig(_Half):
    """Vocos with the attention of WavTokenizer, after a transposed convolution that is initialised
    to repeat frames."""

    kind: Literal["vocos"]
    upsampling: int = Field(gt=0)  # frames out of one
    hop: int = Field(gt=0)  # samples of one of those
    dim: int = Field(ge=64, multiple_of=32)
    intermediate_dim: int
    layers: int

    @property
    def hop_length(self) -> int:
        return self.upsampling * self.hop

    def build(self, dimension: int) -> nn.Module:
        return UpsampledVocos(dimension, self)


class PooledSEANet(nn.Module):
    """Waveform (B, 1, L), zero-padded to whole frames -> latents (B, D, ceil(L / hop_length))."""

    zero_filled = True  # zeros complete the last frame

    def __init__(self, dimension: int, config: SEANetEncoderConfig):
        super().__init__()
        self.hop_length = config.hop_length
        self.encoder = SEANetEncoder(
            dimension, config.num_filters, config.strides, config.num_lstm_layers
        )
        self.pool = nn.Conv1d(dimension, dimension, config.pooling, config.pooling)
        _start_diagonal(self.pool, 1 / config.pooling)

    def forward(self, waveform: Tensor) -> Tensor:
        padded = F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length))
        return self.pool(self.encoder(padded))

    @property
    def layers(self) -> nn.Sequential:
        """What a waveform of whole frames goes through."""
        return nn.Sequential(self.encoder.layers, self.pool)


class UpsampledVocos(nn.Module):
    """Quantized vectors (B, D, T) to a waveform (B, 1, T * hop_length)."""

    def __init__(self, dimension: int, config: VocosDecoderConfig):
        super().__init__()
        self.upsample = nn.ConvTranspose1d(
            dimension, dimension, config.upsampling, config.upsampling
        )
        _start_diagonal(self.upsample, 1.0)
        self.backbone = VocosBackbone(
            dimension, config.dim, config.intermediate_dim, config.layers, num_conditions=1
        )
        self.head = ISTFTHead(config.dim, config.hop)

    def forward(self, quantized: Tensor) -> Tensor:
        return self.head(self.backbone(self.upsample(quantized)))


@torch.no_grad()
def _start_diagonal(layer: nn.Module, value: float) -> None:
    layer.bias.zero_()
    layer.weight.copy_(value * torch.eye(len(layer.weight))[:, :, None].expand_as(layer.weight))


AnyEncoder = Annotated[DACEncoderConfig | SEANetEncoderConfig, Field(discriminator="kind")]
AnyDecoder = Annotated[DACDecoderConfig | VocosDecoderConfig, Field(discriminator="kind")]


class LMSPTConfig(BaseModel):
    """Sizes of the network; the defaults are those of the published weights, 12.5 Hz."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample_rate: int = 24000
    encoder: AnyEncoder = DACEncoderConfig(strides=(4, 5, 6, 8, 2), num_filters=32)  # both
    dimension: int = 1024
    decoder: AnyDecoder = DACDecoderConfig(strides=(2, 8, 6, 5, 4), channels=1536)
    auxiliary_decoder: AnyDecoder = DACDecoderConfig(strides=(8, 8, 5, 4), channels=128)
    semantic_codebook_size: int = 16384
    acoustic_codebook_size: int = 4096
    num_acoustic_codebooks: int = Field(7, gt=0)
    codebook_dim: int | None = 8  # None: that of the latents, without projections
    # how codebooks are trained; "averages": Euclidean, by k-means and moving averages
    taught_by: Literal["gradients", "averages"] = "gradients"

    @model_validator(mode="after")
    def _agree(self) -> LMSPTConfig:
        if self.taught_by == "gradients" and self.codebook_dim is None:
            raise ValueError("codebook_dim is None: codebooks trained by gradients need one")
        rate = self.sample_rate / self.encoder.hop_length
        for name, sample_rate in (
            ("decoder", self.sample_rate),
            ("auxiliary_decoder", AUXILIARY_RATE),
        ):
            frame_rate = sample_rate / getattr(self, name).hop_length
            if frame_rate != rate:
                raise ValueError(
                    f"{name} takes {frame_rate:g} frames per second for its {sample_rate} Hz, but "
                    f"the encoders give {rate:g}"
                )
        return self


class LMSPTNetwork(nn.Module):
    """Waveform (B, 1, L) to codes (B, K, T), the first one semantic, to waveform.

    `quantizer.semantic_only` is the share of clips in a training batch that the decoder gets
    without acoustic codes; it is 0 in the published training.
    """

    def __init__(self, config: LMSPTConfig):
        super().__init__()
        self.config = config
        self.semantic_encoder, self.acoustic_encoder = (
            config.encoder.build(config.dimension) for _ in range(2)
        )
        factorized = config.taught_by == "gradients"
        kind = FactorizedResidualQuantizer if factorized else ResidualVectorQuantizer
        counts = (
            (1, config.semantic_codebook_size),
            (
                config.num_acoustic_codebooks,
                config.acoustic_codebook_size,
            ),
        )
        semantic, acoustic = (
            kind(count, size, config.dimension, config.codebook_dim) for count, size in counts
        )
        self.quantizer = SplitQuantizer(semantic, acoustic, subtract=True, separate=True)
        self.decoder = config.decoder.build(config.dimension)
        self.auxiliary_decoder = config.auxiliary_decoder.build(config.dimension)

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return self.config.encoder.hop_length

    def encoder(self, waveform: Tensor) -> Tensor:
        """Waveform (B, 1, L) -> latents of both encoders (B, 2 D, ceil(L / hop_length))."""
        return torch.cat([self.semantic_encoder(waveform), self.acoustic_encoder(waveform)], 1)

    def encode(self, waveform: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Waveform (B, 1, L) -> codes (B, K, T), -1 where not finite. With `num_codebooks=1` (the
        semantic one) the acoustic encoder does not run."""
        if num_codebooks != 1:
            return self.quantize(self.encoder(waveform), num_codebooks)
        latents = self.semantic_encoder(waveform)
        return self.quantize(torch.cat([latents, latents], 1), 1)

    def quantize(self, latents: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Latents (B, 2 D, T) -> codes (B, K, T), -1 where they are not finite."""
        with exactly(latents):
            return self.quantizer.encode(latents.float(), num_codebooks)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, K', T) of the first K' codebooks -> waveform (B, 1, T * hop_length)."""
        return self.decoder(self.quantizer.decode(codes))

    def resynthesize(self, codes: Tensor) -> Tensor:
        """Codes (B, K', T) -> waveform (B, 1, L') at AUXILIARY_RATE, from the first codebook."""
        return self.auxiliary_decoder(self.quantizer.decode(codes[:, :1]))

    def adopt(self, codec: nn.Module) -> None:
        """Initialises both encoders and the decoder from those of a small codec with one encoder.

        Raises:
            ValueError: their keys or shapes differ.
        """
        state = {}
        for key, value in codec.state_dict().items():
            half = key.partition(".")[0]
            if half == "encoder":
                state |= {f"{name}_encoder.{key}": value for name in ("semantic", "acoustic")}
            elif half != "quantizer":
                state[f"decoder.{key}"] = value
        own_state = self.state_dict()
        for key, value in state.items():
            if key not in own_state or own_state[key].shape != value.shape:
                shape = tuple(own_state[key].shape) if key in own_state else None
                raise ValueError(f"{key} has shape {shape} here, but {tuple(value.shape)} there")
        self.load_state_dict(own_state | state)

    def forward(self, waveform: Tensor, quantize: bool = True) -> Output:
        """A training step's forward. Without `quantize`, latents go to the decoders unquantized: to
        the main decoder the acoustic ones, which semantic vectors and residuals add up to."""
        latents = self.encoder(waveform)
        if not quantize:
            semantic, whole = self.quantizer.halves(latents)
            if (alone := self.quantizer.draw_alone(latents)) is not None:
                whole = torch.where(alone, semantic, whole)
            codes, losses = None, {}
        else:
            with exactly(latents):
                result, first = self.quantizer.parts(latents.float())
            semantic, whole = first.quantized, result.quantized
            codes, losses = result.codes, losses_of(result)
        resynthesis = self.auxiliary_decoder(semantic)
        decoded = self.decoder(whole)
        return Output(
            decoded, latents, codes, losses=losses, semantic=semantic, resynthesis=resynthesis
        )
