"""F0: similarity of the pitch contours of speech, by the correlation of both F0 tracks.

Pearson's correlation of F0 in Hz over the frames of 16 ms that are voiced in both sounds, by
SwiftF0, frame by frame without time warping; `voicing` measures how many frames these are. For a
monotone voice the correlation says little. Stereo: the mean of both channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import MetricError
from audiotok.metrics import Column, Metric
from audiotok.metrics._pitch import tracks

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

MIN_FRAMES = 10


def correlation(reference: np.ndarray, reconstruction: np.ndarray) -> float:
    """Of two tracks (frames,) in Hz, 0 where unvoiced."""
    voiced = (reference > 0) & (reconstruction > 0)
    if voiced.sum() < MIN_FRAMES:
        raise MetricError(
            f"f0 has no value: {voiced.sum()} frames of 16 ms are voiced in both sounds, "
            f"at least {MIN_FRAMES} are needed"
        )
    pair = reference[voiced], reconstruction[voiced]
    if min(map(np.ptp, pair)) == 0:
        raise MetricError("f0 has no value: the fundamental frequency never changes")
    return float(np.corrcoef(*pair)[0, 1])


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Column f0_correlation. Silence and speech without voice raise MetricError."""
    pairs = tracks("f0", reference, reconstruction)
    return {"f0_correlation": float(np.mean([correlation(a, b) for a, b in pairs]))}


METRIC = Metric(
    name="f0",
    version=2,
    columns=(
        Column("f0_correlation", "", True, 3, "correlation of F0 where both sounds are voiced"),
    ),
    compute=compute,
    packages=("swift_f0",),
    extra="bench",
    of_speech=True,
)
