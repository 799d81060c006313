"""The network of FocalCodec, and its causal version run piece by piece.

Della Libera et al. 2025, arXiv 2502.04465; causal (FocalCodec-Stream) arXiv 2509.16195. The signs
of the latents are the bits of a code.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from audiotok.nn.convolutions import LeftPaddedConv1d
from audiotok.nn.focal import (
    Compressor,
    CompressorConfig,
    Decompressor,
    DecompressorConfig,
    DownScale,
    FocalBlock,
    UpScale,
)
from audiotok.nn.frame_vocoders import ConvNeXtBlock, Vocoder, VocosConfig, WaveNeXtConfig
from audiotok.nn.pieces import Chain, Convolution, Pieces, Sum, pieces
from audiotok.nn.quantizers import LookupFreeQuantizer
from audiotok.nn.states import Stateful, Stateless
from audiotok.nn.wavlm import ConvBlock, PositionalEmbedding, TransformerEncoder, WavLM, WavLMConfig


class QuantizerConfig(BaseModel):
    """The official field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codebook_size: int = 4096


class FocalCodecConfig(BaseModel):
    """The official `config.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder_name: Literal["WavLM"] = "WavLM"
    encoder_config: WavLMConfig = Field(default_factory=WavLMConfig)
    compressor_name: Literal["FocalEncoder"] = "FocalEncoder"
    compressor_config: CompressorConfig = Field(default_factory=CompressorConfig)
    quantizer_name: Literal["BinarySphericalQuantizer"] = "BinarySphericalQuantizer"
    quantizer_config: QuantizerConfig = Field(default_factory=QuantizerConfig)
    decompressor_name: Literal["FocalDecoder"] = "FocalDecoder"
    decompressor_config: DecompressorConfig = Field(default_factory=DecompressorConfig)
    decoder_name: Literal["Vocos", "WaveNeXt"] = "WaveNeXt"
    decoder_config: VocosConfig | WaveNeXtConfig = Field(default_factory=WaveNeXtConfig)

    @model_validator(mode="before")
    @classmethod
    def _decoder_by_name(cls, fields: dict) -> dict:
        """The configuration of the decoder that is named; null stands for the defaults."""
        if not isinstance(fields, dict):
            return fields  # refused by the class
        fields = {key: value for key, value in fields.items() if value is not None}
        kind = VocosConfig if fields.get("decoder_name") == "Vocos" else WaveNeXtConfig
        config = fields.get("decoder_config", {})
        return fields | {"decoder_config": kind(**config) if isinstance(config, dict) else config}

    @model_validator(mode="after")
    def _fits_together(self) -> FocalCodecConfig:
        parts = (self.encoder_config, self.compressor_config, self.decompressor_config)
        factors = self.compressor_config.downscale_factors
        if len({part.causal for part in (*parts, self.decoder_config)}) > 1:
            raise ValueError("some of its parts are causal and others not")
        if self.causal and max(factors + self.decompressor_config.upscale_factors) > 1:
            raise ValueError("a causal one that merges frames is not known")
        if 2**self.compressor_config.output_dim != self.quantizer_config.codebook_size:
            raise ValueError("codebook_size is not 2 to the power of the compressor's output_dim")
        return self

    @property
    def causal(self) -> bool:
        """Whether all parts are causal."""
        return self.encoder_config.causal

    @property
    def hop_length(self) -> int:
        """Samples of a code at the input."""
        return math.prod(self.encoder_config.strides) * self.compressor_config.scale

    @property
    def chunk(self) -> int:
        """Frames that a causal one sees as a whole; 0 if it is not causal."""
        return 1 + self.encoder_config.lookahead_size if self.causal else 0


class FocalCodecNetwork(nn.Module):
    """Waveform (B, 1, L) to codes (B, 1, T) to waveform (B, 1, T frames)."""

    def __init__(self, config: FocalCodecConfig):
        super().__init__()
        self.config = config
        self.encoder = WavLM(config.encoder_config)
        self.compressor = Compressor(config.compressor_config)
        self.quantizer = LookupFreeQuantizer(config.compressor_config.output_dim, spherical=True)
        self.decompressor = Decompressor(config.decompressor_config)
        self.decoder = Vocoder(config.decoder_config)

    def latents(self, waveform: Tensor) -> Tensor:
        """(B, 1, L) -> latents (B, D, T) of length 1."""
        return self.compressor(self.encoder(waveform))

    def synthesize(self, quantized: Tensor) -> Tensor:
        """Codewords (B, D, T) -> (B, 1, samples of T frames)."""
        return self.decoder(self.decompressor(quantized))


# --- piece by piece --------------------------------------------------------------------------


class Chunks(Stateful):
    """A layer of whole chunks: holds frames back until theirs is whole, or the sound has ended."""

    TENSORS = ("waiting",)

    def __init__(self, size: int, layer: nn.Module):
        self.size, self.layer = size, layer
        self.waiting: Tensor | None = None

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        if self.waiting is not None:
            hidden = torch.cat([self.waiting, hidden], dim=-1)
        ready = hidden.shape[-1] if last else hidden.shape[-1] // self.size * self.size
        self.waiting = hidden[..., ready:].clone()
        return self.layer(hidden[..., :ready]) if ready else hidden[..., :0]


class Attending(Stateful):
    """The layers of a transformer, with the keys and values of past frames; gets whole chunks."""

    TENSORS = ("past",)

    def __init__(self, encoder: TransformerEncoder):
        self.encoder = encoder
        self.past: list[tuple[Tensor, Tensor]] | None = None

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        if not hidden.shape[-1]:
            return hidden
        hidden, self.past = self.encoder.attend(hidden, self.past)
        return hidden


class Modulating(Stateful):
    """A focal block whose convolutions keep their past."""

    def __init__(self, block: FocalBlock):
        self.block = block
        self.parts = [pieces(convolution) for convolution in block.modulation.convolutions]

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        if not hidden.shape[-1]:
            return hidden
        return self.block(hidden, [partial(part, last=last) for part in self.parts])


@pieces.register
def _(layer: LeftPaddedConv1d) -> Pieces:
    return Convolution(layer, layer, layer.left, mode=layer.mode)


@pieces.register
def _(layer: ConvBlock) -> Pieces:
    return Chain([pieces(layer.conv), Stateless(layer.frames)])


@pieces.register
def _(layer: PositionalEmbedding) -> Pieces:
    return Sum(pieces(nn.Identity()), Chain([pieces(layer.conv), Stateless(nn.functional.gelu)]))


@pieces.register
def _(layer: DownScale) -> Pieces:
    return Chain([pieces(layer.downscale), Stateless(layer.activation)])


@pieces.register
def _(layer: UpScale) -> Pieces:
    return Chain([Stateless(layer.activation), pieces(layer.upscale)])


@pieces.register
def _(layer: FocalBlock) -> Pieces:
    return Modulating(layer)


@pieces.register
def _(layer: ConvNeXtBlock) -> Pieces:
    return Sum(pieces(nn.Identity()), Chain([pieces(layer.dwconv), Stateless(layer.frames)]))


def encoder_in_pieces(network: FocalCodecNetwork) -> Pieces:
    """Of a causal network: waveform (B, 1, L) -> latents (B, D, T)."""
    encoder, compressor = network.encoder, network.compressor
    steps = [pieces(layer) for layer in encoder.feature_extractor.layers]
    steps += [Stateless(encoder.project), pieces(encoder.encoder.positional_embedding)]
    steps += [Chunks(encoder.encoder.chunk, nn.Identity()), Attending(encoder.encoder)]
    for layer in compressor.layers:
        steps += [pieces(layer["downscale"]), pieces(layer["focal_block"])]
    return Chain([*steps, Stateless(compressor.latents)])


def decoder_in_pieces(network: FocalCodecNetwork) -> Pieces:
    """Of a causal network: codes (B, 1, T) -> waveform (B, 1, L)."""
    decompressor, backbone = network.decompressor, network.decoder.backbone
    steps: list[Pieces] = [Stateless(network.quantizer.decode), Stateless(decompressor.start)]
    for layer in decompressor.layers:
        steps += [pieces(layer["focal_block"]), pieces(layer["upscale"])]
    steps += [Chunks(decompressor.chunk, decompressor.refiner)]
    steps += [pieces(backbone.embedding), Stateless(backbone.start)]
    steps += [pieces(layer) for layer in backbone.layers]
    return Chain([*steps, Stateless(network.decoder.finish)])
