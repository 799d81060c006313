"""Voicing: whether the reconstruction is voiced in the same frames as the reference.

Decisions per frame of 16 ms by SwiftF0, frame by frame. `voicing_error` is the share of frames in
which they differ (V/UV error), `voicing_f1` the F1 score of finding the voiced frames of the
reference. Stereo: the mean of both channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import MetricError
from audiotok.metrics import Column, Metric
from audiotok.metrics._pitch import tracks

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio


def compare(reference: np.ndarray, reconstruction: np.ndarray) -> tuple[float, float]:
    """Error and F1 of two tracks (frames,), 0 where unvoiced."""
    truth, found = reference > 0, reconstruction > 0
    if not truth.any():
        raise MetricError("voicing has no value: no frame of the reference is voiced")
    return float(np.mean(truth != found)), 2 * np.sum(truth & found) / (truth.sum() + found.sum())


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Columns voicing_error and voicing_f1. A reference without voice raises MetricError."""
    pairs = tracks("voicing", reference, reconstruction)
    error, f1 = np.mean([compare(a, b) for a, b in pairs], axis=0)
    return {"voicing_error": float(error), "voicing_f1": float(f1)}


METRIC = Metric(
    name="voicing",
    version=2,
    columns=(
        Column(
            "voicing_error", "", False, 3, "share of frames whose voicing is not the reference's"
        ),
        Column("voicing_f1", "", True, 3, "F1 of the reference's voiced frames"),
    ),
    compute=compute,
    packages=("swift_f0",),
    extra="bench",
    of_speech=True,
)
