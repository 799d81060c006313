"""Bandwidth: how much of the band of the reference the reconstruction keeps, in dB and Hz.

`lsd` is the log-spectral distance of Gray and Markel 1976: per frame, the root mean square
difference of both log magnitude spectra in dB, over the bins of the band of the reference; then the
mean over frames. Frames last 32 ms, 8 ms apart; magnitudes have a floor of 80 dB below the loudest
bin of the reference. For a 44.1 kHz reference a codec of 16 kHz is charged for everything above 8
kHz; `lsd_16k` compares the rest only.

`bandwidth_reference` is the upper edge of the highest band of 250 Hz in which the long-term level
of the reference is within 80 dB of its loudest band. `bandwidth_kept` is the upper edge of the
highest of these bands in which the level of the reconstruction is at most 10 dB below that of the
reference. Stereo: the mean of both channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from audiotok.metrics import Column, Metric
from audiotok.metrics._signals import channels, sounding
from audiotok.metrics._spectra import magnitudes

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

BAND = 250  # Hz
RANGE = 80.0  # dB below the loudest band, or bin: beyond that nothing counts
LOST = 10.0  # dB below the reference


def compare(
    reference: np.ndarray, reconstruction: np.ndarray, sample_rate: int
) -> tuple[float, float, float]:
    """lsd in dB, bandwidth of the reference and bandwidth kept in Hz, of two signals (L,)."""
    window = 4 * round(0.008 * sample_rate)
    band = (np.arange(window // 2 + 1) * sample_rate / window // BAND).astype(int)
    totals, loudest = np.zeros((2, len(band))), 0.0
    for x, y in _powers(_faded(reference, window), _faded(reconstruction, window), window):
        totals += x.sum(0), y.sum(0)
        loudest = max(loudest, x.max())
    before, after = (_decibels(np.bincount(band, total), 1e-30) for total in totals)
    filled = np.flatnonzero(before >= before.max() - RANGE)[-1]
    kept = np.flatnonzero(after[: filled + 1] >= before[: filled + 1] - LOST)
    edges = [min((n + 1) * BAND, sample_rate / 2) for n in (filled, *kept[-1:])]

    inside, floor = band <= filled, loudest * 10 ** (-RANGE / 10)
    distances = []
    for powers in _powers(reference, reconstruction, window):
        x, y = (_decibels(power[:, inside], floor) for power in powers)
        distances.append(np.sqrt(((x - y) ** 2).mean(1)))
    return float(np.concatenate(distances).mean()), edges[0], edges[1] if len(kept) else 0.0


def _faded(samples: np.ndarray, length: int) -> np.ndarray:
    """Without the hard edges of a clip cut from a longer one, which would fill every band."""
    ramp = np.hanning(2 * length + 1)[: min(length, len(samples) // 2)]
    samples = samples.copy()
    samples[: len(ramp)] *= ramp
    samples[len(samples) - len(ramp) :] *= ramp[::-1]
    return samples


def _powers(
    reference: np.ndarray, reconstruction: np.ndarray, window: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of both power spectrograms (frames, bins)."""
    sounds = magnitudes(reference, window), magnitudes(reconstruction, window)
    for x, y in zip(*sounds, strict=True):
        yield x**2, y**2


def _decibels(power: np.ndarray, floor: float) -> np.ndarray:
    return 10 * np.log10(np.maximum(power, floor))


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Columns lsd, bandwidth_reference and bandwidth_kept. Silence raises MetricError."""
    reference, reconstruction = sounding("bandwidth", reference, reconstruction)
    pairs = channels(reference, reconstruction)
    found = np.mean([compare(a, b, reference.sample_rate) for a, b in pairs], axis=0)
    return dict(
        zip(("lsd", "bandwidth_reference", "bandwidth_kept"), map(float, found), strict=True)
    )


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
