"""X-vectors of a self-supervised network through transformers: WavLM base plus, or any other.

Chen et al. 2022 (WavLM), with the head of Snyder et al. 2018 (x-vectors); the survey of discrete
audio tokens measures speaker similarity with it. The weights must already be on this machine.
"""

from __future__ import annotations

import numpy as np
import torch

from audiotok.errors import MetricError
from audiotok.judges.asr import SAMPLE_RATE, mono
from audiotok.judges.pretrained import Pretrained
from audiotok.sound.audio import Audio

SHORTEST = SAMPLE_RATE // 2  # samples: the head needs at least 15 frames of 20 ms


class XVector(Pretrained):
    """Args: model: a name on the Hub whose files are cached, or a folder."""

    DEFAULT = "microsoft/wavlm-base-plus-sv"
    PURPOSE = "x-vectors"

    def _load(self, options):
        from transformers import AutoFeatureExtractor, AutoModelForAudioXVector

        features = AutoFeatureExtractor.from_pretrained(self.model, **options)
        return features, AutoModelForAudioXVector.from_pretrained(self.model, **options).eval()

    @torch.inference_mode()
    def embed(self, audio: Audio) -> np.ndarray:
        """Unit vector (D,) float32; MetricError for silence and less than half a second."""
        waveform = mono(audio).waveform[0]
        if not waveform.any():
            raise MetricError("no speaker in digital silence")
        if len(waveform) < SHORTEST:
            raise MetricError(
                f"no speaker in {audio.duration:.3f} s of sound: at least 0.5 s are needed"
            )
        features, network = self.network
        inputs = features(waveform.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return torch.nn.functional.normalize(network(**inputs).embeddings[0], dim=0).numpy()
