"""Bandwidth: what became of the band that the reference fills, in dB and in Hz.

`lsd` is the log-spectral distance of Gray and Markel 1976: per frame the root mean square difference
of both log magnitude spectra in dB, over the bins that the reference fills; then the mean over
frames. Frames last 32 ms, 8 ms apart; magnitudes are floored at 80 dB below the loudest bin of the
reference. At the rate of a 44.1 kHz reference a codec of 16 kHz is charged for all that it lost
above 8 kHz; `lsd_16k` charges it for the rest only.

`bandwidth_reference` is how far the reference reaches: the upper edge of the highest band of 250 Hz
whose long-term level is within 80 dB of the loudest one. `bandwidth_kept` is where the
reconstruction stops: the upper edge of the highest of those bands whose level there is at most 20 dB
below the reference's. Stereo: the mean of both channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotok.metrics import Column, Metric
from audiotok.metrics._signals import channels, sounding
from audiotok.metrics._spectra import magnitudes

if TYPE_CHECKING:
    from audiotok.audio import Audio

BAND = 250  # Hz
RANGE = 80.0  # dB below the loudest band, or bin: beyond that nothing counts
LOST = 20.0  # dB below the reference


def compare(
    reference: np.ndarray, reconstruction: np.ndarray, sample_rate: int
) -> tuple[float, float, float]:
    """lsd in dB, bandwidth of the reference and bandwidth kept in Hz, of two signals (L,)."""
    window = 4 * round(0.008 * sample_rate)
    sounds = reference, reconstruction
    blocks = [np.concatenate(list(magnitudes(x, window))) ** 2 for x in sounds]
    band = (np.arange(window // 2 + 1) * sample_rate / window // BAND).astype(int)
    levels = [_decibels(np.bincount(band, power.mean(0)), 1e-30) for power in blocks]
    filled = np.flatnonzero(levels[0] >= levels[0].max() - RANGE)[-1]
    kept = np.flatnonzero(levels[1][: filled + 1] >= levels[0][: filled + 1] - LOST)
    floor = blocks[0].max() * 10 ** (-RANGE / 10)
    x, y = (_decibels(power[:, band <= filled], floor) for power in blocks)
    lsd = np.sqrt(((x - y) ** 2).mean(1)).mean()
    edges = [min((n + 1) * BAND, sample_rate / 2) for n in (filled, kept[-1] if len(kept) else -1)]
    return float(lsd), *edges


def _decibels(power: np.ndarray, floor: float) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, floor))


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Columns lsd, bandwidth_reference and bandwidth_kept. Silence raises MetricError."""
    sounding("bandwidth", reference, reconstruction)
    pairs = channels(reference, reconstruction)
    found = np.mean([compare(a, b, reference.sample_rate) for a, b in pairs], axis=0)
    return dict(zip(("lsd", "bandwidth_reference", "bandwidth_kept"), map(float, found), strict=True))


METRIC = Metric(
    name="bandwidth",
    version=1,
    columns=(
        Column("lsd", "dB", False, 2, "log-spectral distance over the band the reference fills"),
        Column("bandwidth_reference", "Hz", None, 0, "band that the reference fills"),
        Column("bandwidth_kept", "Hz", None, 0, "band in which the reconstruction follows it"),
    ),
    compute=compute,
    at_16k=("lsd",),
)
