"""Resemblyzer: a GE2E speaker encoder (Wan et al. 2018), with the weights of its package.

The mono sound at 16 kHz is processed by the package's `preprocess_wav` (quiet sounds are amplified
to -30 dBFS, long pauses are removed by WebRTC's voice activity detector) and `embed_utterance`.
Different speakers have cosine similarities near 0.5.
"""

from __future__ import annotations

import importlib.util
import warnings
from functools import cache

import numpy as np

from audiotok.errors import MetricError, MissingPackageError
from audiotok.judges.asr import SAMPLE_RATE, mono
from audiotok.sound.audio import Audio


class Resemblyzer:
    """Embeddings of 256 dimensions."""

    name, label = "Resemblyzer", ""
    identity: dict[str, str] = {}

    def missing(self) -> MissingPackageError | None:
        """An error with how to install the package; None if it is installed."""
        if importlib.util.find_spec("resemblyzer") is None:
            return MissingPackageError("resemblyzer", "bench", "speaker similarity")
        return None

    def embed(self, audio: Audio) -> np.ndarray:
        """Unit vector (256,) float32; MetricError if no voice is detected."""
        encoder, preprocess_wav = _encoder()
        samples = mono(audio).waveform[0].clamp(-1, 1).numpy()
        if not samples.any():
            raise MetricError("no speaker in digital silence")
        voiced = preprocess_wav(samples, source_sr=SAMPLE_RATE)
        if not len(voiced):
            raise MetricError(f"no voice was detected in {audio.duration:.2f} s of sound")
        return encoder.embed_utterance(voiced).astype(np.float32)


@cache
def _encoder():
    """Resemblyzer's encoder on the CPU with the weights of its package, and its preprocessing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports pkg_resources and a deprecated name of scipy
        from resemblyzer import VoiceEncoder, preprocess_wav
    return VoiceEncoder("cpu", verbose=False), preprocess_wav
