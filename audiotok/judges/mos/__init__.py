"""Predictors of mean opinion scores (MOS) without a reference, 1 (bad) to 5 (excellent).

    audiotok.judges.mos.get("dnsmos")(audio) -> {"dnsmos_p808": 3.9, ...}

One file per predictor, found automatically: a module of this folder (no leading underscore) with a
`PREDICTOR` of its name. They use no reference and were trained on other distortions than those of
codecs: compare their scores with the score of the reference, which some codecs surpass.
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
    """A predictor of opinion scores.

    Attributes:
        identity: of the weights.
    """

    name: str
    columns: tuple[Column, ...]
    identity: dict[str, str]

    def missing(self) -> AudiotokError | None:
        """An error with what is missing on this machine; None if nothing is."""

    def __call__(self, audio: Audio) -> dict[str, float]:
        """The columns; MetricError if the sound has no score."""


def names() -> list[str]:
    """The names of all predictors, sorted, without importing them."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def get(name: str) -> Predictor:
    """The predictor of this name, or MetricError."""
    if name not in (available := names()):
        raise MetricError(f"there is no predictor {name!r}; available: {', '.join(available)}")
    return importlib.import_module(f"{__name__}.{name}").PREDICTOR


def prepared(name: str, audio: Audio) -> np.ndarray:
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
