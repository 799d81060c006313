"""STFT distance: how far apart two sounds are in magnitude spectra, at two resolutions.

The multi-resolution distance of the DAC paper (Kumar et al. 2023; its `MultiScaleSTFTLoss` with
default settings, after Engel et al. 2020): for windows of 2048 and 512 samples, hop a quarter, the
mean absolute difference of log10(max(magnitude, 1e-5)²) plus the mean absolute difference of the
magnitudes, summed over both windows. Stereo: the mean of both channels. It weighs high frequencies
more than the mel distance does. The magnitudes grow with the level of the sound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotok.metrics import Column, Metric
from audiotok.metrics._signals import channels
from audiotok.metrics._spectra import magnitudes

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

WINDOWS = (2048, 512)  # samples
FLOOR = 1e-5


def distance(reference: Audio, reconstruction: Audio) -> float:
    """Sum over WINDOWS of mean |difference of log10 power| + mean |difference of magnitude|."""
    pairs = channels(reference, reconstruction)
    return sum(_resolution(a, b, window) for a, b in pairs for window in WINDOWS) / len(pairs)


def _resolution(a: np.ndarray, b: np.ndarray, window: int) -> float:
    total, count = 0.0, 0
    for x, y in zip(magnitudes(a, window), magnitudes(b, window), strict=True):
        logarithms = np.log10(np.maximum(x, FLOOR)) - np.log10(np.maximum(y, FLOOR))
        total += float((2 * np.abs(logarithms) + np.abs(x - y)).sum())
        count += x.size
    return total / count


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Column stft_distance."""
    return {"stft_distance": distance(reference, reconstruction)}


_WHAT = "L1 distance of log10 power and magnitude spectra, windows of 2048 and 512, as in DAC"
METRIC = Metric(
    name="stft_distance",
    version=1,
    columns=(Column("stft_distance", "log10", False, 3, _WHAT),),
    compute=compute,
    at_16k=("stft_distance",),
)
