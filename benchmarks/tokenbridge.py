"""TokenBridge over the encoder and decoder of rvq-small, without its codebooks, as a codec.

    audiotok bench -s sound -t benchmarks/tokenbridge.py::tokenbridge-rvq-small:bits=3

Wang et al. 2025, arXiv 2503.16430. It shows how well these networks do when their latents are
quantized finely, and so what the codebooks of rvq-small cost. Each of the 64 dimensions of the
latents has a codebook of 2^bits values (default 4 bits), so 50 frames a second are 3200 tokens.
Mean and standard deviation are those of ten clips of the bundled corpus, computed when it is
loaded. Of the tasks with a language model, `acoustic_lm:rq` predicts the dimensions of a frame one
after another.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import audiotok
from audiotok.codec.codec import Codec, CodecCard
from audiotok.data import bundled
from audiotok.nn.quantizers.dimension_wise import DimensionWiseQuantizer
from audiotok.sound import audio

DIMENSIONS, BITS, CLIPS = 64, 4, 10


def bits(text: str) -> int:
    """Bits of a dimension, 1 to 8."""
    if not 1 <= int(text) <= 8:
        raise ValueError(text)
    return int(text)


bits.__name__ = "whole number from 1 to 8"


class TokenBridge(Codec):
    """The networks of rvq-small around a quantizer that was only calibrated."""

    CARDS = (
        CodecCard(
            name="tokenbridge-rvq-small",
            family="tokenbridge",
            description="latents of rvq-small, quantized dimension by dimension",
            sample_rate_in=16_000,
            sample_rate_out=16_000,
            hop_length=320,
            codebook_sizes=(2**BITS,) * DIMENSIONS,
            licence_code="Apache-2.0",
            licence_weights="Apache-2.0",
            verified="by its test",
        ),
    )
    OPTIONS = {"bits": bits}

    @classmethod
    def adapt(cls, card: CodecCard, options: dict[str, object]) -> CodecCard:
        sizes = (2 ** options.get("bits", BITS),) * DIMENSIONS
        return card.model_copy(update={"codebook_sizes": sizes})

    def _load(self, checkpoint: Path | None) -> None:
        self._inner = audiotok.load("rvq-small", device="cpu", quiet=True)
        paths = sorted(bundled.FOLDER.glob("*_[0-1].flac"))[:CLIPS]
        clips = [audio.read(path).resample(16_000).waveform[None] for path in paths]
        latents = torch.cat([self._inner.encode_latents(clip)[0] for clip in clips], 1)
        self.network = self._inner.network
        levels = self.card.codebook_sizes[0]
        self.network.bridge = DimensionWiseQuantizer.calibrated(latents, levels)

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return self._inner._encode_latents(waveform)

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.bridge.encode(latents.float())

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.bridge.decode(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self._inner._decode_latents(quantized)
