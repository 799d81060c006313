"""The network of WavTokenizer: SEANet encoder, one codebook, attention and ConvNeXt, inverse STFT.

Ji et al. 2024, arXiv 2408.16532 (ICLR 2025).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from audiotok.nn.outputs import Output
from audiotok.nn.quantizers import VectorQuantizer
from audiotok.nn.seanet import SEANetEncoder
from audiotok.nn.vocos import ISTFTHead, VocosBackbone


class WavTokenizerConfig(BaseModel):
    """Sizes of the network; the defaults are those of all official checkpoints (strides differ)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample_rate: int = 24000
    strides: tuple[int, ...]  # of the encoder, in order of application
    dimension: int = 512  # of latents and codebook
    codebook_size: int = 4096
    num_filters: int = 32
    num_lstm_layers: int = 2
    backbone_dim: int = 768
    backbone_intermediate_dim: int = 2304
    backbone_layers: int = 12
    num_conditions: int = 4


class WavTokenizerNetwork(nn.Module):
    """Waveform (B, 1, L) to codes (B, 1, T) to waveform (B, 1, T * hop_length)."""

    def __init__(self, config: WavTokenizerConfig):
        super().__init__()
        self.config = config
        self.encoder = SEANetEncoder(
            config.dimension, config.num_filters, config.strides, config.num_lstm_layers
        )
        self.quantizer = VectorQuantizer(config.codebook_size, config.dimension)
        self.backbone = VocosBackbone(
            config.dimension,
            config.backbone_dim,
            config.backbone_intermediate_dim,
            config.backbone_layers,
            config.num_conditions,
        )
        self.head = ISTFTHead(config.backbone_dim, self.encoder.hop_length)

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return self.encoder.hop_length

    def encode(self, waveform: Tensor) -> Tensor:
        """Waveform (B, 1, L) -> codes (B, 1, ceil(L / hop_length)), -1 where not finite."""
        return self.quantizer.encode(self.encoder(waveform))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, 1, T) -> waveform (B, 1, T * hop_length)."""
        return self.head(self.backbone(self.quantizer.decode(codes)))

    def forward(self, waveform: Tensor, quantize: bool = True) -> Output:
        """A training step's forward; without `quantize`, latents go to the decoder as they are."""
        latents = self.encoder(waveform)
        if not quantize:
            return Output(self.head(self.backbone(latents)), latents, None, {})
        quantized, codes, commitment = self.quantizer(latents)
        return Output(
            self.head(self.backbone(quantized)), latents, codes, {"commitment": commitment}
        )
