"""MCD: mel-cepstral distortion, how far apart two spectral envelopes are, in dB.

Kubichek 1993: 10 / ln 10 * sqrt(2 * the sum over d of (c_d - ĉ_d)²), the mean over frames, with c_1
… c_13: neither level (c_0) nor fine structure counts. The cepstra here are those of mel spectra:
frames of 32 ms, 8 ms apart, the logarithm of 80 Slaney mel bands up to half the sample rate, c_d =
2 / 80 * the sum over k of log band_k * cos(pi d (k + 1/2) / 80), so that the MCD is the root mean
square difference of both smoothed log mel spectra in dB. Frames are compared one to one, with no
time warping, where the reference is within 40 dB of its loudest frame. Stereo: the mean of both
channels.

Published MCDs analyse with WORLD and SPTK's mel-generalised cepstra (of order 24 or more, often
warped in time) or with librosa's orthonormal transform: those numbers are of the same kind but not
comparable with these, nor with each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

from audiotok.metrics import Column, Metric
from audiotok.metrics._signals import channels, sounding
from audiotok.metrics._spectra import magnitudes, mel_filters

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

ORDER = 13
BANDS = 80
FLOOR = 1e-5  # of mel magnitudes, as in mel_distance
RANGE = 40.0  # dB below the loudest frame
_DECIBELS = 10 / np.log(10) * np.sqrt(2)


def distortion(reference: np.ndarray, reconstruction: np.ndarray, sample_rate: int) -> float:
    """MCD in dB of two signals (L,)."""
    window = 4 * round(0.008 * sample_rate)
    filters = mel_filters(sample_rate, window, BANDS)
    distances, levels = [], []
    for x, y in zip(magnitudes(reference, window), magnitudes(reconstruction, window), strict=True):
        difference = cepstra(filters @ x.T) - cepstra(filters @ y.T)
        distances.append(_DECIBELS * np.sqrt(np.sum(difference**2, axis=0)))
        levels.append(np.sum(x**2, axis=1))
    levels = np.concatenate(levels)
    return float(np.concatenate(distances)[levels >= levels.max() * 10 ** (-RANGE / 10)].mean())


def cepstra(mel: np.ndarray) -> np.ndarray:
    """(BANDS, frames) of mel magnitudes -> c_1 … c_ORDER (ORDER, frames)."""
    logarithms = np.log(np.maximum(mel, FLOOR))
    return scipy.fft.dct(logarithms, axis=0)[1 : ORDER + 1] / BANDS


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Column mcd, in dB. Silence raises MetricError."""
    sounding("mcd", reference, reconstruction)
    pairs = channels(reference, reconstruction)
    return {"mcd": float(np.mean([distortion(a, b, reference.sample_rate) for a, b in pairs]))}


METRIC = Metric(
    name="mcd",
    version=1,
    columns=(
        Column("mcd", "dB", False, 2, "mel-cepstral distortion, c1 to c13 of 80 mel bands, no DTW"),
    ),
    compute=compute,
    of_speech=True,
    at_16k=("mcd",),
)
