"""The encoder of Whisper as an embedding of any sound up to 8 kHz: the mean of its last layer.

The same network as the recogniser `audiotok.judges.asr.whisper`, in CTranslate2 in int8. Frames of
the silence that pads its input to 30 s are left out.
"""

from __future__ import annotations

import math

import numpy as np

from audiotok.errors import MetricError
from audiotok.judges.asr import SAMPLE_RATE, pieces
from audiotok.judges.asr.whisper import PRECISION, Whisper
from audiotok.sound.audio import Audio

FRAME = 320  # samples


class WhisperEncoder(Whisper):
    """Args: model: as for `Whisper`."""

    PURPOSE = "the encoder of Whisper"

    @property
    def name(self) -> str:
        return f"{self.PURPOSE} {self.label or 'small'}, {PRECISION}"

    def embed(self, audio: Audio) -> np.ndarray:
        """(D,) float32; MetricError for digital silence."""
        import ctranslate2

        if not audio.waveform.any():
            raise MetricError("no embedding of digital silence")
        processor, network = self.network
        total, frames = 0.0, 0
        for piece in pieces(audio):
            features = processor(
                piece.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="np"
            ).input_features
            encoded = network.encode(ctranslate2.StorageView.from_array(features), to_cpu=True)
            count = math.ceil(len(piece) / FRAME)
            total = total + np.array(encoded, dtype=np.float64)[0, :count].sum(0)
            frames += count
        return (total / frames).astype(np.float32)
