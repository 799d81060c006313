"""Any audio encoder of transformers as an embedding of sounds: WavLM, HuBERT, CLAP, AST and others.

CLAP gives its own embedding of a sound, other networks the mean of their last layer over time.
Sounds are resampled to the rate of the network and cut into pieces of PIECE seconds; the embedding
is the mean over the pieces.
"""

from __future__ import annotations

import numpy as np
import torch

from audiotok.errors import MetricError
from audiotok.judges.pretrained import Pretrained
from audiotok.sound.audio import Audio

PIECE = 10  # seconds, the input length of CLAP and AST
SHORTEST = 0.1  # seconds: shorter pieces are left out, unless there is no other


def pieces_of(audio: Audio, rate: int) -> list[np.ndarray]:
    """The mono sound at `rate` Hz in pieces of PIECE seconds, (L,) float32.

    Raises:
        MetricError: digital silence, or a sound under SHORTEST seconds.
    """
    samples = audio.to_channels(1).resample(rate).waveform[0]
    if not samples.any() or len(samples) < SHORTEST * rate:
        raise MetricError(
            f"no embedding of {audio.duration:.3f} s of sound: at least {SHORTEST} s are needed, "
            "not of digital silence"
        )
    parts = samples.split(PIECE * rate)
    return [part.numpy() for part in parts if len(part) >= SHORTEST * rate]


class HubEncoder(Pretrained):
    """Args: model: a name on the Hub whose files are cached, or a folder."""

    DEFAULT = "microsoft/wavlm-base-plus"
    PURPOSE = "embeddings of"

    def _load(self, options):
        from transformers import AutoFeatureExtractor, AutoModel

        features = AutoFeatureExtractor.from_pretrained(self.model, **options)
        return features, AutoModel.from_pretrained(self.model, **options).eval()

    @torch.inference_mode()
    def embed(self, audio: Audio) -> np.ndarray:
        """(D,) float32; MetricError for digital silence and sounds that are too short."""
        features, network = self.network
        embeddings, seconds = [], []
        for piece in pieces_of(audio, features.sampling_rate):
            inputs = features(piece, sampling_rate=features.sampling_rate, return_tensors="pt")
            if hasattr(network, "get_audio_features"):  # CLAP
                output = network.get_audio_features(**inputs)
                output = getattr(output, "pooler_output", output)[0]
            else:
                output = network(**inputs).last_hidden_state[0].mean(0)
            embeddings.append(output.double().numpy())
            seconds.append(len(piece))
        return np.average(embeddings, axis=0, weights=seconds).astype(np.float32)
