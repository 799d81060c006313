"""A small codec network with any quantizer.

Encoder and decoder are those of WavTokenizer (Ji et al. 2024, arXiv 2408.16532), SEANet and Vocos,
or ConvNeXt on both sides, see `convnext`, or a causal SoundStream, see `soundstream`; the quantizer
is any of `nn.quantizers`. To compare quantizers, train networks that differ in the quantizer only.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from audiotok.nn.convnext import (
    ConvNeXtBackbone,
    ConvNeXtEncoder,
    ConvNeXtSizes,
    SynthesisFilterbank,
)
from audiotok.nn.outputs import Output
from audiotok.nn.quantizers import AnyQuantizer, losses_of
from audiotok.nn.seanet import SEANetEncoder
from audiotok.nn.soundstream import (
    SoundStreamBackbone,
    SoundStreamEncoder,
    SoundStreamHead,
    SoundStreamSizes,
)
from audiotok.nn.vocos import ISTFTHead, VocosBackbone


class MiniConfig(BaseModel):
    """Sizes of the network; about 5 million parameters by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantizer: AnyQuantizer
    strides: tuple[int, ...]  # of the encoder, in order of application; their product is the hop
    sample_rate: int = 16000
    dimension: int = Field(64, gt=0)  # of the latents
    convnext: ConvNeXtSizes | None = None  # takes the place of SEANet and Vocos, sized below
    soundstream: SoundStreamSizes | None = None  # the same
    num_filters: int = 16
    num_lstm_layers: int = 2
    backbone_dim: int = Field(256, ge=64, multiple_of=32)  # in 32 groups, of 2 at least
    backbone_intermediate_dim: int = 512
    backbone_layers: int = 6

    @model_validator(mode="after")
    def _agree(self) -> MiniConfig:
        self.quantizer.check(self.dimension)
        chosen = [name for name in ("convnext", "soundstream") if getattr(self, name) is not None]
        if len(chosen) == 2:
            raise ValueError("convnext and soundstream exclude each other: leave one of them out")
        if chosen:
            unused = {
                name
                for name in self.model_fields_set
                if name.startswith(("num_", "backbone_"))
                and getattr(self, name) != type(self).model_fields[name].default
            }
            if unused:
                raise ValueError(
                    f"{min(unused)} is of SEANet and Vocos: leave it out with {chosen[0]}"
                )
        if self.convnext is not None and len(self.convnext.widths) != len(self.strides):
            raise ValueError(
                f"convnext.widths {self.convnext.widths} and strides {self.strides} differ in "
                "length: expected a width for each stride"
            )
        return self


class MiniNetwork(nn.Module):
    """Waveform (B, 1, L) to codes (B, K, T) to waveform (B, 1, T * hop_length)."""

    def __init__(self, config: MiniConfig):
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
        self.quantizer = config.quantizer.build(config.dimension)
        self.backbone = _backbone(config)
        self.head = _head(config, self.encoder.hop_length)

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return self.encoder.hop_length

    def encode(self, waveform: Tensor) -> Tensor:
        """Waveform (B, 1, L) -> codes (B, K, ceil(L / hop_length)), -1 where not finite."""
        return self.quantizer.encode(self.encoder(waveform))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, K', T) -> waveform (B, 1, T * hop_length); K' < K only if codes are nested."""
        return self.head(self.backbone(self.quantizer.decode(codes)))

    def forward(self, waveform: Tensor, quantize: bool = True) -> Output:
        """A training step's forward; without `quantize`, latents go to the decoder as they are."""
        latents = self.encoder(waveform)
        if not quantize:
            return Output(self.head(self.backbone(latents)), latents, None, {})
        result = self.quantizer(latents)
        sound = self.head(self.backbone(result.quantized))
        return Output(sound, latents, result.codes, losses_of(result))


def _encoder(config: MiniConfig) -> nn.Module:
    if config.convnext is not None:
        return ConvNeXtEncoder(config.dimension, config.strides, config.convnext)
    if config.soundstream is not None:
        return SoundStreamEncoder(config.dimension, config.strides, config.soundstream)
    return SEANetEncoder(
        config.dimension, config.num_filters, config.strides, config.num_lstm_layers
    )


def _backbone(config: MiniConfig) -> nn.Module:
    if config.convnext is not None:
        return ConvNeXtBackbone(config.dimension, config.strides, config.convnext)
    if config.soundstream is not None:
        return SoundStreamBackbone(config.dimension, config.strides, config.soundstream)
    return VocosBackbone(
        config.dimension,
        config.backbone_dim,
        config.backbone_intermediate_dim,
        config.backbone_layers,
        num_conditions=1,
    )


def _head(config: MiniConfig, hop_length: int) -> nn.Module:
    if config.convnext is not None:
        return SynthesisFilterbank(config.convnext.widths[0], config.strides[0])
    if config.soundstream is not None:
        return SoundStreamHead(config.soundstream, config.strides[0])
    return ISTFTHead(config.backbone_dim, hop_length)
