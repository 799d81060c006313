"""Speaker encoders, one class per file: `embed(audio)` returns a speaker embedding of norm 1."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from audiotok.errors import AudiotokError
from audiotok.sound.audio import Audio


class Encoder(Protocol):
    """A speaker encoder; the attributes are those of `audiotok.judges.asr.Recogniser`."""

    name: str
    label: str
    identity: dict[str, str]

    def missing(self) -> AudiotokError | None:
        """An error with what is missing on this machine; None if nothing is."""

    def embed(self, audio: Audio) -> np.ndarray:
        """Unit vector (D,) float32 of a sound; MetricError if it contains no voice."""
