"""Small codecs of our own with any quantizer, as `audiotok train` writes them.

One network, `nn/mini.py`, with any quantizer: for codecs that run on any machine, and to compare
quantizers. One codec ships; any other loads by the path of its file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from audiotok.codec import checkpoints
from audiotok.codec.codec import CodecCard, Taxonomy, Weights
from audiotok.codecs._trained import BY_RECIPE, Trained, in_float32
from audiotok.nn import ragged
from audiotok.nn.mini import MiniConfig, MiniNetwork
from audiotok.nn.pieces import Chain, Pieces, Search, pieces
from audiotok.nn.quantizers import codebooks_of, merged
from audiotok.nn.quantizers.strided import pool, repeat, shared_segments

_QUANTIZATION = {  # in the words of the survey
    "vq": "SVQ, Fixed",
    "rvq": "RVQ, Fixed",
    "factorized": "RVQ, Fixed",
    "grouped": "PQ, Fixed",
    "fsq": "FSQ, Fixed",
    "lfq": "LFQ, Fixed",
}
_WITHOUT_CODEBOOK = ("fsq", "lfq")
_SMALL = MiniConfig.model_validate(
    {
        "quantizer": {"kind": "rvq", "num_codebooks": 12, "codebook_size": 1024},
        "strides": (16, 5, 2, 2),
        "soundstream": {},
    }
)


def _measures(config: MiniConfig) -> dict[str, Any]:
    """The fields of a card that must fit the network of its weights."""
    return {
        "sample_rate_in": config.sample_rate,
        "hop_length": math.prod(config.strides),
        "codebook_sizes": config.quantizer.codebook_sizes,
    }


def _layers(config: MiniConfig) -> str:
    """Encoder and decoder in the words of the survey."""
    if config.soundstream is not None:
        return "CNN, Time -> CNN, Time"
    if config.convnext is not None:
        return "CNN, Time-Freq -> CNN, Time-Freq"
    return "CNN+RNN, Time -> CNN+T, Time-Freq"


def _card(name: str, config: MiniConfig, domain: str, **details: Any) -> CodecCard:
    quantizer, causal = config.quantizer, config.soundstream is not None
    count = len(quantizer.codebook_sizes)
    return CodecCard(
        name=name,
        family="mini",
        kind="neural",
        **_measures(config),
        sample_rate_out=config.sample_rate,
        strides=quantizer.strides,
        codebook_counts=tuple(range(1, count + 1)) if quantizer.nested else (count,),
        mergeable=quantizer.nested or count == 1,
        causal=causal,
        streamable=causal,
        lookahead=0 if causal else None,
        taxonomy=Taxonomy(
            encoder_decoder=_layers(config),
            quantization=_QUANTIZATION[quantizer.kind],
            training_paradigm=details.pop("training_paradigm"),
            streamability="yes" if causal else "no",
            domain=domain,
        ),
        licence_code="Apache-2.0",
        **details,
    )


class Mini(Trained):
    """A small codec behind the common interface; rates and channels are on its card."""

    CONFIG = MiniConfig
    CARDS = (
        _card(
            "rvq-small",
            _SMALL,
            "speech",
            description="12 residual codebooks of our own on the network of Lyra v2, "
            "0.5 to 6 kbit/s",
            training_paradigm="GAN, Feat, Rec, VQ",
            licence_weights="Apache-2.0",
            training_data=(
                "unknown: what Lyra v2 was trained on",
                "LibriSpeech train-clean-100, one utterance of each reader",
                "speech of Kokoro-82M",
            ),
            weights=Weights(
                bundled="rvq-small.safetensors",
                sha256="abe6c6403ada54f99de190299be78346bf4f3fede5b49fc82f511c763dc6a2ab",
            ),
            verified="by the results of this repository",
        ),
    )
    RAGGED = True

    def _load(self, checkpoint: Path | None) -> None:
        state, metadata = checkpoints.read_state(checkpoint)
        config = self.config_in(metadata, checkpoint)
        self.compare(_measures(config), checkpoint)
        with checkpoints.sized_by(state, checkpoint):
            self.network = MiniNetwork(config)
        checkpoints.load_strict(self.network, in_float32(state), checkpoint)

    @classmethod
    def card_from_metadata(cls, metadata: dict[str, str], digest: str) -> CodecCard:
        return _card(
            f"{metadata.get('name', 'mini')}@{digest}",
            cls.config_in(metadata, "the file"),
            "as its training data",
            training_paradigm="as its recipe",
            **BY_RECIPE,
        )

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return self.network.encoder(waveform)

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.decode(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self.network.head(self.network.backbone(quantized))

    def _encode_ragged(self, waveform: Tensor, lengths: Sequence[int]) -> Tensor:
        return self._quantize(ragged.encode(self.network.encoder, waveform, lengths))

    def _encoder_in_pieces(self) -> Pieces:
        encoder = pieces(self.network.encoder)
        return Search(encoder, self._quantize, self.num_codebooks, self._unit)

    def _decoder_in_pieces(self) -> Pieces | None:
        if not self.card.causal:
            return super()._decoder_in_pieces()
        decoder = Chain([pieces(self.network.backbone), pieces(self.network.head)])
        return lambda codes, last: decoder(self._dequantize(codes), last)

    def _quantize(self, latents: Tensor) -> Tensor:
        latents = latents.float()
        quantizer, strides = self.network.quantizer, self.card.strides
        config = self.network.config.quantizer
        if config.nested:
            # a copy only where it is needed: torch.compile cannot record it
            rates = (*strides, *config.strides[len(strides) :])
            if rates != tuple(quantizer.strides) or any(map(shared_segments, rates)):
                quantizer = merged(quantizer, rates)
            return quantizer.encode(latents, len(strides))
        if len(config.codebook_sizes) > 1:
            return quantizer.encode(latents)
        codes = quantizer.encode(pool(latents, strides[0]))
        return repeat(codes, strides[0], latents.shape[-1])

    def _codebooks(self) -> list[Tensor] | None:
        if self.network.config.quantizer.kind in _WITHOUT_CODEBOOK:
            return None
        return codebooks_of(self.network.quantizer)

    def codewords(self, k: int) -> Tensor:
        if self.network.config.quantizer.kind not in _WITHOUT_CODEBOOK:
            return self.codebook(k)
        return codebooks_of(self.network.quantizer)[k].detach().to("cpu").float()
