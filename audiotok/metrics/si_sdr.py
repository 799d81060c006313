"""SI-SDR: scale-invariant signal-to-distortion ratio, sample by sample.

Le Roux, Wisdom, Erdogan and Hershey 2019, 'SDR - half-baked or well done?', equations 4 and 5, on
signals without their mean: the energy of the reference, scaled to fit the reconstruction best, over
the energy of the rest. It says nothing about codecs that do not preserve the phase: their sound may
be good at -30 dB. It ignores gain and polarity, and one sample of delay destroys it; therefore it
is computed raw and after the delay of `alignment` was removed. Stereo: the mean of both channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotok.metrics import Column, Metric
from audiotok.metrics._ratios import decibels, raw_and_aligned

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio


def si_sdr(reference: np.ndarray, reconstruction: np.ndarray) -> float:
    """SI-SDR in dB of two signals (L,), neither of them constant."""
    reference = reference - reference.mean()
    reconstruction = reconstruction - reconstruction.mean()
    scale = np.sum(reconstruction * reference) / np.sum(reference**2)
    target = scale * reference
    return decibels(target, reconstruction - target)


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Columns si_sdr and si_sdr_aligned, in dB. Silence raises MetricError."""
    return raw_and_aligned("si_sdr", si_sdr, reference, reconstruction)


_WHAT = "scale-invariant signal-to-distortion ratio; means nothing where a codec drops the phase"
METRIC = Metric(
    name="si_sdr",
    version=1,
    columns=(
        Column("si_sdr", "dB", True, 2, _WHAT),
        Column("si_sdr_aligned", "dB", True, 2, f"{_WHAT}; after undoing the measured delay"),
    ),
    compute=compute,
    at_16k=("si_sdr", "si_sdr_aligned"),
)
