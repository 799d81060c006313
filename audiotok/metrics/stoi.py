"""STOI and ESTOI: how intelligible speech is, by short-time correlation of its band envelopes.

Taal, Hendriks, Heusdens and Jensen 2011; extended: Jensen and Taal 2016; computed by the package
pystoi. Both are defined at 10 kHz, to which pystoi resamples with its own filter, whatever the
rate of the reference: what lies above 5 kHz does not count. Frames 40 dB below the loudest one of
the reference are dropped; at least 30 (0.4 s) must stay. Stereo: the mean of both channels.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import MetricError
from audiotok.metrics import Column, Metric
from audiotok.metrics._signals import channels, sounding

if TYPE_CHECKING:
    from audiotok.audio import Audio

MIN_SECONDS = 31 * 128 / 10_000
"""pystoi's frames are 256 samples long and 128 apart at 10 kHz; it needs 30, and drops the last."""


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Columns stoi and estoi, about 0 to 1. Silence and short speech raise MetricError."""
    sounding("stoi", reference, reconstruction)
    if reference.duration < MIN_SECONDS:
        raise _too_short(reference)
    scores = [
        (_pystoi(reference, a, b, extended=False), _pystoi(reference, a, b, extended=True))
        for a, b in channels(reference, reconstruction)
    ]
    stoi, estoi = np.mean(scores, axis=0)
    return {"stoi": float(stoi), "estoi": float(estoi)}


def _pystoi(audio: Audio, reference: np.ndarray, reconstruction: np.ndarray, extended: bool):
    from pystoi import stoi

    state = np.random.get_state()
    np.random.seed(0)  # ESTOI adds noise of 1e-16 from numpy's global generator
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            return stoi(reference, reconstruction, audio.sample_rate, extended=extended)
    except RuntimeWarning as warning:  # 'Not enough STFT frames …': it would return 1e-5
        raise _too_short(audio) from warning
    finally:
        np.random.set_state(state)


def _too_short(audio: Audio) -> MetricError:
    return MetricError(
        f"stoi has no value: fewer than 30 frames (0.4 s) of the reference are sound; "
        f"it lasts {audio.duration:.3f} s"
    )


METRIC = Metric(
    name="stoi",
    version=1,
    columns=(
        Column("stoi", "", True, 3, "short-time objective intelligibility, at 10 kHz"),
        Column("estoi", "", True, 3, "extended short-time objective intelligibility, at 10 kHz"),
    ),
    compute=compute,
    packages=("pystoi",),
    extra="bench",
    of_speech=True,
)
