"""The fundamental frequency of speech by SwiftF0, for the metrics of pitch and voicing.

Nieradzik 2025 (SwiftF0), arXiv 2508.18440, of the package swift-f0: at 16 kHz, 60 to 500 Hz, every
16 ms, voiced where its confidence is at least 0.5. On synthetic tones with noise it errs far less
than WORLD's DIO and StoneMask, which were used before: results/metric_ladder/pitch.csv, written by
benchmarks/pitch.py.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from audiotok.metrics._signals import at_16k, channels, sounding

if TYPE_CHECKING:
    from swift_f0 import SwiftF0

    from audiotok.sound.audio import Audio

FLOOR, CEILING = 60.0, 500.0  # Hz
VOICED = 0.5  # least confidence of a voiced frame; the package calibrates it so

_tracks: dict[bytes, np.ndarray] = {}  # per process: digest of samples at 16 kHz -> F0


def tracks(
    name: str, reference: Audio, reconstruction: Audio
) -> list[tuple[np.ndarray, np.ndarray]]:
    """F0 in Hz of each channel of both sounds, (frames,) each; 0 where unvoiced.

    Silence raises MetricError in the name of the metric `name`.
    """
    reference, reconstruction = sounding(name, reference, reconstruction)
    pairs = channels(*at_16k(reference, reconstruction))
    return [(_track(a), _track(b)) for a, b in pairs]


def _track(samples: np.ndarray) -> np.ndarray:
    """The track of a sound; a sound this process has seen before is not analysed again."""
    key = hashlib.sha256(samples).digest()
    if key not in _tracks:
        result = _network().detect(samples.astype(np.float32), 16_000, FLOOR, CEILING)
        voiced = result.confidence >= VOICED
        _tracks[key] = np.where(voiced, result.pitch_hz, 0.0)
    return _tracks[key]


@cache
def _network() -> SwiftF0:
    from swift_f0 import SwiftF0

    return SwiftF0(threads=1)
