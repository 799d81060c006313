"""Mimi: up to 32 codebooks of 2048 at 12.5 frames per second, 24 kHz; causal.

Défossez et al. 2024 (Moshi), arXiv 2410.00037, section 3.3; weights by Kyutai, kyutai/mimi. The
network is transformers' MimiModel. The first codebook is semantic; the others, acoustic, search the
same latents beside it, so merging the first changes no other code.

MimiModel pads a clip to whole frames inside its convolutions, not in the waveform. Codes here are
those of MimiModel for the unpadded sound, so the last, incomplete frame of a clip differs from that
of the clip padded with zeros. Attention looks back 10 s per layer, over 8 layers; a stream keeps
this state, and long sound is coded as a stream.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from audiotok.codec.codec import CodecCard, Taxonomy, Weights
from audiotok.codec.inference import LOADING
from audiotok.codecs._pins import pinned
from audiotok.codecs._searches import SplitSearch
from audiotok.codecs._transformers import Wrapped
from audiotok.nn.pieces import Chain, Pieces, Search, pieces
from audiotok.nn.states import Stateless


def _card(count: int) -> CodecCard:
    return CodecCard(
        name=f"mimi-{count}",
        family="mimi",
        description=f"official weights, the first {count} of 32 codebooks"
        if count < 32
        else "official weights, all 32 codebooks",
        sample_rate_in=24_000,
        sample_rate_out=24_000,
        hop_length=1920,
        codebook_sizes=(2048,) * count,
        codebook_counts=tuple(range(1, count + 1)),
        mergeable=True,
        causal=True,
        streamable=True,
        lookahead=0,
        taxonomy=Taxonomy(
            encoder_decoder="CNN+T, Time -> CNN+T, Time",
            quantization="RVQ, Fixed",
            training_paradigm="GAN, Feat, Rec, VQ; semantic distillation",
            streamability="yes",
            domain="speech",
        ),
        licence_code="Apache-2.0",
        licence_weights="CC-BY-4.0",
        weights=Weights(
            **pinned("kyutai/mimi"),
            file="model.safetensors",
            beside=("config.json",),
            size_about=385_000_000,
        ),
        verified="on random weights only",
    )


class Mimi(Wrapped):
    """Mimi behind the common interface; mimi-8 is what Moshi uses."""

    DEFAULT = "mimi-8"
    CARDS = (_card(8), _card(32))
    MODEL_TYPE = "mimi"
    MODEL = "MimiModel"

    @classmethod
    def sizes(cls, config: Any) -> dict[str, Any]:
        return {
            "sample_rate_in": config.sampling_rate,
            "sample_rate_out": config.sampling_rate,
            "channels": config.audio_channels,
            "hop_length": round(config.sampling_rate / config.frame_rate),
            "codebook_sizes": (config.codebook_size,) * config.num_quantizers,
        }

    def _prepare(self) -> None:
        self.network.quantizer = SplitSearch(self.network.quantizer, self.card.strides)

    def _run_encoder(self, waveform: Tensor) -> None:
        self.network.encode(waveform)

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.quantizer.encode(latents).transpose(0, 1)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self.network.decoder(quantized).audio_values

    def _encoder_in_pieces(self) -> Pieces:
        encoder = self._pieces(self.network.encoder)
        return Search(encoder, self._quantize, self.num_codebooks, self._unit)

    def _dequantize(self, codes: Tensor) -> Tensor:
        """Codes (B, K, T) -> (B, D, T); transformers' projections take no T of 0."""
        padded = codes if codes.shape[-1] else codes.new_zeros(*codes.shape[:2], 1)
        return self.network.quantizer.decode(padded)[..., : codes.shape[-1]]

    def _decoder_in_pieces(self) -> Pieces:
        return Chain([Stateless(self._dequantize), self._pieces(self.network.decoder)])

    def _pieces(self, half: nn.Module) -> Pieces:
        with LOADING:
            from audiotok.codecs import _mimi_pieces  # noqa: F401  registers the layers of Mimi

        return pieces(half)

    def _codebooks(self) -> list[Tensor]:
        quantizer = self.network.quantizer.quantizer
        stacks = (
            quantizer.semantic_residual_vector_quantizer,
            quantizer.acoustic_residual_vector_quantizer,
        )
        return [layer.codebook.embed for stack in stacks for layer in stack.layers]
