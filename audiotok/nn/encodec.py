"""The network of EnCodec and SpeechTokenizer: SEANet, residual codebooks, SEANet.

Défossez et al. 2022 (EnCodec), arXiv 2210.13438; Zhang et al. 2023 (SpeechTokenizer), arXiv
2308.16692.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from audiotok.nn.outputs import Output
from audiotok.nn.quantizers import ResidualVectorQuantizer, losses_of
from audiotok.nn.seanet import SEANetDecoder, SEANetEncoder


class EncodecConfig(BaseModel):
    """Sizes of the network; see `seanet` for what they mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample_rate: int = 24000
    strides: tuple[int, ...]  # of the encoder, in order of application
    dimension: int  # of latents and codewords
    num_codebooks: int
    codebook_size: int
    num_filters: int
    num_lstm_layers: int
    channels: int = 1
    bidirectional: bool = False
    snake: bool = False
    causal: bool = False
    group_norm: bool = False

    @property
    def hop_length(self) -> int:
        return math.prod(self.strides)


class EncodecNetwork(nn.Module):
    """Waveform (B, C, L) to codes (B, K, T) to waveform (B, C, T * hop_length).

    Args:
        strides: frames per code of the first codebooks; the others have 1. See
            `quantizers.strided`.
    """

    def __init__(self, config: EncodecConfig, strides: Sequence[int] = ()):
        super().__init__()
        self.config = config
        excluded = {"sample_rate", "num_codebooks", "codebook_size", "bidirectional"}
        sizes = config.model_dump(exclude=excluded)
        sizes["stepwise"] = True
        self.encoder = SEANetEncoder(**sizes, bidirectional=config.bidirectional)
        self.quantizer = ResidualVectorQuantizer(
            config.num_codebooks,
            config.codebook_size,
            config.dimension,
            strides=(*strides, *(1,) * (config.num_codebooks - len(strides))),
        )
        self.decoder = SEANetDecoder(**sizes)

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return self.config.hop_length

    def encode(self, waveform: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Waveform (B, C, L) -> codes (B, K, ceil(L / hop_length)) of the first K codebooks.

        -1 where the latents are not finite.
        """
        return self.quantizer.encode(self.encoder(waveform).float(), num_codebooks)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, K', T) of the first K' codebooks -> waveform (B, C, T * hop_length)."""
        return self.decoder(self.quantizer.decode(codes))

    def forward(self, waveform: Tensor, quantize: bool = True) -> Output:
        """A training step's forward; without `quantize`, latents go to the decoder as they are."""
        latents = self.encoder(waveform)
        if not quantize:
            return Output(self.decoder(latents), latents, None, {})
        result = self.quantizer(latents)
        return Output(self.decoder(result.quantized), latents, result.codes, losses_of(result))
