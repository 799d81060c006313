"""The fundamental frequency of speech by WORLD, for the metrics of pitch and voicing.

DIO (Morise, Kawahara and Katayose 2009) refined by StoneMask (Morise 2010), of the package pyworld,
at 16 kHz, 60 to 500 Hz, every 10 ms.
"""

from __future__ import annotations

import hashlib
import warnings
from typing import TYPE_CHECKING

import numpy as np

from audiotok.metrics._signals import at_16k, channels, sounding

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

FLOOR, CEILING = 60.0, 500.0  # Hz
PERIOD = 10.0  # ms

_tracks: dict[bytes, np.ndarray] = {}  # per process: digest of samples at 16 kHz -> F0


def tracks(
    name: str, reference: Audio, reconstruction: Audio
) -> list[tuple[np.ndarray, np.ndarray]]:
    """F0 in Hz of each channel of both sounds, (frames,) each; 0 where unvoiced.

    Silence raises MetricError in the name of the metric `name`.
    """
    sounding(name, reference, reconstruction)
    pairs = channels(*at_16k(reference, reconstruction))
    return [(_track(a), _track(b)) for a, b in pairs]


def _track(samples: np.ndarray) -> np.ndarray:
    """A sound this process has seen before (the reference) is not analysed again."""
    key = hashlib.sha256(samples).digest()
    if key not in _tracks:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports pkg_resources
            import pyworld
        limits = {"f0_floor": FLOOR, "f0_ceil": CEILING, "frame_period": PERIOD}
        rough, times = pyworld.dio(samples, 16_000, **limits)
        _tracks[key] = pyworld.stonemask(samples, rough, times, 16_000)
    return _tracks[key]
