"""Speaker encoders, one class per file: `embed(audio)` gives a unit vector, near for one voice."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from audiotok.errors import AudiotokError
from audiotok.sound.audio import Audio


class Encoder(Protocol):
    """What tells voices apart; the attributes are those of `audiotok.judges.asr.Recogniser`."""

    name: str
    label: str
    identity: dict[str, str]

    def missing(self) -> AudiotokError | None:
        """The error that says what is not on this machine; None where all is."""

    def embed(self, audio: Audio) -> np.ndarray:
        """Unit vector (D,) float32 of a sound; MetricError where there is no voice in it."""
