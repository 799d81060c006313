"""SI-SDR: scale-invariant signal-to-distortion ratio, sample by sample.

Le Roux, Wisdom, Erdogan and Hershey 2019, 'SDR - half-baked or well done?', equations 4 and 5, on
signals without their mean: the reference scaled to fit the reconstruction best, against what is
left over. It means nothing for codecs that do not keep the phase: they sound right at -30 dB. It
does not see gain or polarity, and one sample of delay ruins it; therefore it comes raw and aligned
by the delay that `alignment` reports. Stereo: the mean of both channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotok.metrics import Column, Metric
from audiotok.metrics._signals import at_both_rates, channels, sounding
from audiotok.metrics.alignment import align

if TYPE_CHECKING:
    from audiotok.audio import Audio

LIMIT = 100.0
"""dB; values are cut to ±LIMIT, so that equal sounds, whose ratio is infinite, read 100 dB."""


def si_sdr(reference: np.ndarray, reconstruction: np.ndarray) -> float:
    """SI-SDR in dB of two signals (L,), neither of them constant."""
    reference = reference - reference.mean()
    reconstruction = reconstruction - reconstruction.mean()
    scale = np.sum(reconstruction * reference) / np.sum(reference**2)
    target = scale * reference
    distortion = np.sum((reconstruction - target) ** 2)
    with np.errstate(divide="ignore"):
        ratio = 10 * (np.log10(np.sum(target**2)) - np.log10(distortion))
    return float(np.clip(ratio, -LIMIT, LIMIT))


def _mean(reference: Audio, reconstruction: Audio) -> float:
    sounding("si_sdr", reference, reconstruction)
    return float(np.mean([si_sdr(a, b) for a, b in channels(reference, reconstruction)]))


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Columns si_sdr, si_sdr_16k and si_sdr_aligned, in dB. Silence raises MetricError."""
    return {
        **at_both_rates("si_sdr", _mean, reference, reconstruction),
        "si_sdr_aligned": _mean(*align(reference, reconstruction)),
    }


_WHAT = "scale-invariant signal-to-distortion ratio; means nothing where a codec drops the phase"
METRIC = Metric(
    name="si_sdr",
    version=1,
    columns=(
        Column("si_sdr", "dB", True, 2, f"{_WHAT}; at the reference's sample rate"),
        Column("si_sdr_16k", "dB", True, 2, f"{_WHAT}; at 16 kHz"),
        Column("si_sdr_aligned", "dB", True, 2, f"{_WHAT}; after undoing the measured delay"),
    ),
    compute=compute,
)
