"""ViSQOL in either mode, by the package visqol-python, for the metrics visqol and visqol_speech.

The package is a port of Google's C++ code, not a binding of it; on seven pairs of sounds that the
original is tested with it gave the original's scores to 0.003.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import MetricError
from audiotok.metrics._signals import channels, sounding

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

MIN_SECONDS = 1.0
"""Patches last 0.4 to 0.6 s and start after 0.3 s."""


def score(name: str, mode: str, rate: int, reference: Audio, reconstruction: Audio) -> float:
    """MOS-LQO, 1 to 5, both sounds brought to `rate` and one channel first, as ViSQOL does it.

    Raises MetricError for silence, for less than a second, and where ViSQOL finds no patch.
    """
    sounding(name, reference, reconstruction)
    if reference.duration < MIN_SECONDS:
        raise MetricError(
            f"{name} has no value: the sound lasts {reference.duration:.3f} s, "
            f"at least {MIN_SECONDS} s are needed"
        )
    mono = (audio.to_channels(1).resample(rate) for audio in (reference, reconstruction))
    a, b = channels(*mono)[0]
    try:
        with np.errstate(all="ignore"):
            return _visqol(mode).measure_from_arrays(a, b, rate).moslqo
    except (ValueError, RuntimeError, IndexError) as reason:
        raise MetricError(f"{name} has no value: {reason}") from reason


@cache
def _visqol(mode: str):
    from visqol import VisqolApi

    logging.getLogger("visqol").setLevel(logging.ERROR)
    visqol = VisqolApi()
    visqol.create(mode=mode)
    return visqol
