"""X-Codec: 8 codebooks of 1024 at 50 frames per second, 16 kHz, with semantic features inside.

Ye et al. 2024, arXiv 2408.17175; weights at huggingface.co/hf-audio. The network is transformers'
XcodecModel: a DAC-like encoder beside HuBERT or WavLM, whose features enter the same residual
quantizer. It stops after any number of codebooks, not only after those of its bandwidths.

Each code depends on the whole sound. Sound longer than the window (60 s) is coded in windows, and
most codes may then differ from those of the whole, not only at the edges: `encode` warns about it.

Sound is padded with zeros to whole frames, as its feature extractor in transformers does; codes are
those of XcodecModel for the padded sound.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from audiotok.codec.codec import CodecCard, Taxonomy, Weights
from audiotok.codecs._searches import ResidualSearch
from audiotok.codecs._transformers import Wrapped, padded

LONG = "sound longer than a minute is coded in windows, with other codes than the whole has"
_SPEECH, _GENERAL = "speech", "speech, music, audio"


def _card(
    variant: str, what: str, domain: str, data: tuple[str, ...] = (), licence: str | None = None
) -> CodecCard:
    return CodecCard(
        name=f"xcodec-{variant}",
        family="xcodec",
        description=f"official weights, {what}; {LONG}",
        sample_rate_in=16_000,
        sample_rate_out=16_000,
        hop_length=320,
        codebook_sizes=(1024,) * 8,
        codebook_counts=tuple(range(1, 9)),
        mergeable=True,
        causal=False,
        streamable=False,
        lookahead=None,
        taxonomy=Taxonomy(
            encoder_decoder="CNN, Time -> CNN, Time",
            quantization="RVQ, Fixed",
            training_paradigm="GAN, Rec, VQ; semantic distillation",
            streamability="no",
            domain=domain,
        ),
        licence_code="Apache-2.0",
        licence_weights=licence,
        training_data=data,
        weights=Weights(
            repository=f"hf-audio/xcodec-{variant}",
            file="model.safetensors",
            beside=("config.json",),
            revision="main",
            size_about=710_000_000,
        ),
        verified="on random weights only",
    )


class XCodec(Wrapped):
    """X-Codec behind the common interface."""

    DEFAULT = "xcodec-hubert-general-balanced"
    CARDS = (
        _card("hubert-librispeech", "HuBERT features, speech", _SPEECH, ("LibriSpeech",)),
        _card("wavlm-mls", "WavLM features, speech", _SPEECH, ("MLS, English",)),
        _card("wavlm-more-data", "WavLM features, more speech", _SPEECH, licence="CC-BY-4.0"),
        _card("hubert-general", "HuBERT features, any sound", _GENERAL),
        _card("hubert-general-balanced", "HuBERT features, any sound, balanced", _GENERAL),
    )
    MODEL_TYPE = "xcodec"
    MODEL = "XcodecModel"

    @classmethod
    def sizes(cls, config: Any) -> dict[str, Any]:
        return {
            "sample_rate_in": config.sample_rate,
            "sample_rate_out": config.sample_rate,
            "channels": 1,
            "hop_length": config.hop_length,
            "codebook_sizes": (config.codebook_size,) * config.num_quantizers,
        }

    def _prepare(self) -> None:
        self.network.quantizer = ResidualSearch(self.network.quantizer, self.card.strides)

    def _run_encoder(self, waveform: Tensor) -> None:
        self.network.encode(padded(waveform, self.hop_length))

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.quantizer.encode(latents).transpose(0, 1)

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.decode(codes.transpose(0, 1))

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        acoustic = self.network.fc2(quantized.transpose(1, 2)).transpose(1, 2)
        return self.network.acoustic_decoder(acoustic)

    def _codebooks(self) -> list[Tensor]:
        layers = self.network.quantizer.quantizer.quantizers
        return [layer.codebook.embed for layer in layers]
