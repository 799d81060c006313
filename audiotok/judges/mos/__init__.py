"""Predictors of opinion scores: how listeners would rate a sound alone, 1 (bad) to 5 (excellent).

    audiotok.judges.mos.get("dnsmos")(audio) -> {"dnsmos_p808": 3.9, ...}

One file per predictor, found by itself: a module of this folder (no leading underscore) with a
`PREDICTOR` of its name. They know no reference and were trained on other damage than codecs do:
read them beside the row of the reference, which some codecs surpass, and never alone.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Protocol

import numpy as np

from audiotok.errors import AudiotokError, MetricError
from audiotok.judges.asr import SHORTEST, mono
from audiotok.metrics import Column
from audiotok.sound.audio import Audio


class Predictor(Protocol):
    """What rates a sound.

    Attributes:
        identity: which weights these are.
    """

    name: str
    columns: tuple[Column, ...]
    identity: dict[str, str]

    def missing(self) -> AudiotokError | None:
        """The error that says what is not on this machine; None where all is."""

    def __call__(self, audio: Audio) -> dict[str, float]:
        """The columns; MetricError where the sound has no score."""


def names() -> list[str]:
    """The names of all predictors, sorted; imports none of them."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def get(name: str) -> Predictor:
    """The predictor of this name, or MetricError."""
    if name not in (known := names()):
        raise MetricError(f"no predictor is named {name!r}; there are: {', '.join(known)}")
    return importlib.import_module(f"{__name__}.{name}").PREDICTOR


def listened(name: str, audio: Audio) -> np.ndarray:
    """(L,) float32 mono at 16 kHz within [-1, 1]; MetricError for silence and under 0.1 s."""
    samples = mono(audio).waveform[0].clamp(-1, 1).numpy()
    if len(samples) < SHORTEST:
        raise MetricError(
            f"{name} has no value: the sound lasts {audio.duration:.3f} s, at least 0.1 s are "
            "needed"
        )
    if not samples.any():
        raise MetricError(f"{name} has no value: the sound is digital silence")
    return samples
