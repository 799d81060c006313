"""X-Codec 2: one codebook of 65536 at 50 frames per second, 16 kHz; scalar quantization.

Ye et al. 2025 (Llasa), arXiv 2502.04128; weights HKUSTAudio/xcodec2-hf, not for commercial use.
The network is transformers' Xcodec2Model, its features are those of transformers'
Xcodec2FeatureExtractor (which normalises them over the clip, so codes depend on all of it).

The extractor pads a sound by at least one sample, so a sound of whole frames gets one frame more.
This frame contains no sample of the sound and is dropped: codes are the first ceil(L / 320) of
those of the extractor and Xcodec2Model for the unpadded sound.
"""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from audiotok.codec.codec import CodecCard, Weights
from audiotok.codecs._transformers import WrappedScalar


class XCodec2(WrappedScalar):
    """X-Codec 2 behind the common interface."""

    CARDS = (
        CodecCard(
            name="xcodec2",
            family="xcodec2",
            description="official weights, one code per frame",
            sample_rate_in=16_000,
            sample_rate_out=16_000,
            hop_length=320,
            codebook_sizes=(65_536,),
            causal=False,
            streamable=False,
            lookahead=None,
            licence_code="Apache-2.0",
            licence_weights="CC-BY-NC-4.0",
            weights=Weights(
                repository="HKUSTAudio/xcodec2-hf",
                file="model.safetensors",
                beside=("config.json", "preprocessor_config.json"),
                revision="main",
                size_about=2_520_000_000,
            ),
            verified="on random weights only",
        ),
    )
    MODEL_TYPE = "xcodec2"
    MODEL = "Xcodec2Model"
    EXTRACTOR = "Xcodec2FeatureExtractor"

    @classmethod
    def sizes(cls, config: Any) -> dict[str, Any]:
        return {
            "sample_rate_in": config.sampling_rate,
            "sample_rate_out": config.sampling_rate,
            "channels": 1,
            "hop_length": config.hop_length,
            "codebook_sizes": (math.prod(config.quantization_levels),),
        }

    def _run_encoder(self, waveform: Tensor) -> None:
        self.network.encode(**self._features(waveform))
