"""SDR: signal-to-distortion ratio of BSS Eval, sample by sample, up to a filter.

Vincent, Gribonval and Févotte 2006, version 3, for one source: the best least-squares approximation
of the reconstruction by a filter of 512 taps on the reference counts as signal, everything else as
distortion. The numbers are those of mir_eval.separation.bss_eval_sources and torchmetrics'
signal_distortion_ratio. A fixed equaliser, gain, polarity and a delay of up to 511 samples cost
nothing; sound that comes too early does. Like SI-SDR it says nothing about codecs that do not
preserve the phase, and it is computed raw and aligned. Stereo: the mean of both channels, each with
its own filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
import scipy.signal

from audiotok.errors import MetricError
from audiotok.metrics import Column, Metric
from audiotok.metrics._ratios import decibels, raw_and_aligned
from audiotok.metrics.alignment import correlate

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

TAPS = 512


def sdr(reference: np.ndarray, reconstruction: np.ndarray) -> float:
    """SDR in dB of two signals (L,), L at least 2 * TAPS: else the filter fits anything."""
    if len(reference) < 2 * TAPS:
        raise MetricError(
            f"sdr has no value: of {len(reference)} samples a filter of {TAPS} taps can make "
            f"anything; at least {2 * TAPS} are needed"
        )
    target = _project(reference, reconstruction)
    return decibels(target, np.pad(reconstruction, (0, TAPS - 1)) - target)


def _project(reference: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """(L + TAPS - 1,): the sum of delayed copies of the reference nearest the reconstruction."""
    products = correlate(reference, reference, TAPS - 1)[TAPS - 1 :]
    normal = scipy.linalg.toeplitz(products)
    correlations = correlate(reference, reconstruction, TAPS - 1)[TAPS - 1 :]
    try:
        taps = np.linalg.solve(normal, correlations)
    except np.linalg.LinAlgError:  # copies that depend on each other, as of a pure tone
        taps = np.linalg.lstsq(normal, correlations)[0]
    return scipy.signal.oaconvolve(reference, taps)


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Columns sdr and sdr_aligned, in dB. Silence and short sounds raise MetricError."""
    return raw_and_aligned("sdr", sdr, reference, reconstruction)


_WHAT = "signal-to-distortion ratio of BSS Eval v3, up to a filter of 512 taps"
METRIC = Metric(
    name="sdr",
    version=1,
    columns=(
        Column("sdr", "dB", True, 2, _WHAT),
        Column("sdr_aligned", "dB", True, 2, f"{_WHAT}; after undoing the measured delay"),
    ),
    compute=compute,
    at_16k=("sdr", "sdr_aligned"),
)
