"""Mel distance: how far apart two sounds are in log mel spectra, at seven resolutions.

The distance of the DAC paper (Kumar et al. 2023, section 3.5 and table 2; its `MelSpectrogramLoss`
with the settings of its published training configuration): for windows of 32, 64, … 2048 samples,
hop a quarter, with 5, 10, … 320 Slaney mel bands up to half the sample rate, the mean absolute
difference of log10(max(mel magnitude, 1e-5)), summed over the seven windows. Stereo: the mean of
both channels. Windows are counted in samples, so numbers at different rates do not compare; hence
the second column, at 16 kHz.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotok.metrics import Column, Metric
from audiotok.metrics._signals import channels
from audiotok.metrics._spectra import magnitudes, mel_filters

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

WINDOWS = {32: 5, 64: 10, 128: 20, 256: 40, 512: 80, 1024: 160, 2048: 320}  # samples: mel bands
FLOOR = 1e-5


def distance(reference: Audio, reconstruction: Audio) -> float:
    """Sum over WINDOWS of the mean |difference of log10 mel|; 0 for equal sounds."""
    pairs = channels(reference, reconstruction)
    return sum(
        _resolution(a, b, window, mel_filters(reference.sample_rate, window, bands))
        for a, b in pairs
        for window, bands in WINDOWS.items()
    ) / len(pairs)


def _resolution(a: np.ndarray, b: np.ndarray, window: int, filters) -> float:
    total, count = 0.0, 0
    for x, y in zip(magnitudes(a, window), magnitudes(b, window), strict=True):
        x, y = (np.log10(np.maximum(filters @ m.T, FLOOR)) for m in (x, y))
        total += float(np.abs(x - y).sum())
        count += x.size
    return total / count


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Column mel_distance."""
    return {"mel_distance": distance(reference, reconstruction)}


_WHAT = "L1 distance of log10 mel spectra, summed over 7 windows (32 to 2048 samples), as in DAC"
METRIC = Metric(
    name="mel_distance",
    version=1,
    columns=(Column("mel_distance", "log10", False, 3, _WHAT),),
    compute=compute,
    at_16k=("mel_distance",),
)
