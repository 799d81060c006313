"""NeuCodec: one codebook of 65536 at 50 frames per second, 16 kHz in and 24 kHz out.

Weights by Neuphonic, neuphonic/neucodec. The network is transformers' NeuCodecModel, an X-Codec 2
with a decoder for 24 kHz; its features are those of transformers' NeuCodecFeatureExtractor (which
normalises them over the clip, so codes depend on all of it).

The extractor and NeuCodecModel give floor(L / 320) frames for L samples, and fail below 320.
Therefore sound is first padded with zeros to whole frames: codes are those of the extractor and
NeuCodecModel for the padded sound.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from audiotok.codec.codec import CodecCard, Weights
from audiotok.codecs._transformers import WrappedScalar, padded


class NeuCodec(WrappedScalar):
    """NeuCodec behind the common interface."""

    CARDS = (
        CodecCard(
            name="neucodec",
            family="neucodec",
            description="official weights, one code per frame, 24 kHz out",
            sample_rate_in=16_000,
            sample_rate_out=24_000,
            hop_length=320,
            codebook_sizes=(65_536,),
            causal=False,
            streamable=False,
            lookahead=None,
            licence_code="Apache-2.0",
            licence_weights="Apache-2.0",
            weights=Weights(
                repository="neuphonic/neucodec",
                file="model.safetensors",
                beside=("config.json", "preprocessor_config.json"),
                revision="main",
                size_about=2_520_000_000,
            ),
            verified="on random weights only",
        ),
    )
    MODEL_TYPE = "neucodec"
    MODEL = "NeuCodecModel"
    EXTRACTOR = "NeuCodecFeatureExtractor"

    @classmethod
    def sizes(cls, config: Any) -> dict[str, Any]:
        return {
            "sample_rate_in": config.input_sampling_rate,
            "sample_rate_out": config.output_sampling_rate,
            "channels": 1,
            "hop_length": config.encoder_hop_length,
            "codebook_sizes": (math.prod(config.quantization_levels),),
        }

    def _run_encoder(self, waveform: Tensor) -> None:
        self.network.encode(**self._features(padded(waveform, self.hop_length)))
