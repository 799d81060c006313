"""Class posteriors of a sound by a classifier of transformers, such as AST on AudioSet.

The softmax of its logits, also for classifiers that were trained to give several classes at once:
posteriors of a clip then have the sum 1, as a divergence needs.
"""

from __future__ import annotations

import numpy as np
import torch

from audiotok.judges.embeddings.hub import pieces_of
from audiotok.judges.pretrained import Pretrained
from audiotok.sound.audio import Audio


class Tagger(Pretrained):
    """Args: model: a name on the Hub whose files are cached, or a folder."""

    DEFAULT = "MIT/ast-finetuned-audioset-10-10-0.4593"
    PURPOSE = "classes by"

    def _load(self, options):
        from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

        features = AutoFeatureExtractor.from_pretrained(self.model, **options)
        network = AutoModelForAudioClassification.from_pretrained(self.model, **options)
        return features, network.eval()

    @torch.inference_mode()
    def posteriors(self, audio: Audio) -> np.ndarray:
        """(C,) float64 with the sum 1, the mean over pieces; MetricError as `hub.pieces_of`."""
        features, network = self.network
        posteriors, seconds = [], []
        for piece in pieces_of(audio, features.sampling_rate):
            inputs = features(piece, sampling_rate=features.sampling_rate, return_tensors="pt")
            posteriors.append(network(**inputs).logits[0].double().softmax(-1).numpy())
            seconds.append(len(piece))
        return np.average(posteriors, axis=0, weights=seconds)
