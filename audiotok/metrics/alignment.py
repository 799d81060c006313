"""Alignment: delay, gain and polarity of a reconstruction, a check beside SI-SDR, SDR and CI-SDR.

The delay is the one within ±100 ms at which the cross-correlation of both sounds, without their
means, has the largest absolute value; both channels of a stereo sound share it. If `correlation` is
small, as for codecs that do not preserve the phase, delay and polarity are random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotok.metrics import Column, Metric
from audiotok.metrics._signals import channels, sounding

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

MAX_DELAY = 0.1
"""Seconds searched in both directions."""

_BLOCK = 2**18  # samples correlated at once: memory stays bounded for any length


def delay(reference: Audio, reconstruction: Audio) -> tuple[int, float]:
    """The delay in samples (positive: the reconstruction is late) and the signed correlation,
    in [-1, 1], there. Of equal peaks the smallest delay wins."""
    reference, reconstruction = sounding("alignment", reference, reconstruction)
    reach = min(int(MAX_DELAY * reference.sample_rate), reference.num_samples - 1)
    lags = np.arange(-reach, reach + 1)
    products, energies = np.zeros(len(lags)), np.zeros(2)
    for a, b in channels(reference, reconstruction):
        a, b = a - a.mean(), b - b.mean()
        products += correlate(a, b, reach)
        energies += np.sum(a**2), np.sum(b**2)
    nearest = np.argsort(np.abs(lags), kind="stable")
    best = nearest[np.argmax(np.abs(products[nearest]))]
    return int(lags[best]), float(products[best] / np.sqrt(energies.prod()))


def correlate(a: np.ndarray, b: np.ndarray, reach: int) -> np.ndarray:
    """(2 reach + 1,): the sum over t of a[t] * b[t + lag] for each lag in -reach..reach, by FFT."""
    block = max(_BLOCK, 4 * reach)
    size = 1 << (min(block, len(a)) + 2 * reach).bit_length()
    b = np.pad(b, reach)
    products = np.zeros(2 * reach + 1)
    for start in range(0, len(a), block):
        late = np.fft.rfft(b[start : start + block + 2 * reach], size)
        early = np.fft.rfft(a[start : start + block], size)
        products += np.fft.irfft(late * early.conj(), size)[: 2 * reach + 1]
    return products


def align(reference: Audio, reconstruction: Audio) -> tuple[Audio, Audio]:
    """Both sounds without their delay, cut to what they share."""
    lag, _ = delay(reference, reconstruction)
    if lag == 0:
        return reference, reconstruction
    early, late = max(-lag, 0), max(lag, 0)
    length = reference.num_samples - abs(lag)
    return tuple(
        type(audio)(audio.waveform[:, start : start + length], audio.sample_rate)
        for audio, start in ((reference, early), (reconstruction, late))
    )


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Columns lag_ms, correlation, polarity and gain_db. Silence raises MetricError."""
    reference, reconstruction = sounding("alignment", reference, reconstruction)
    lag, correlation = delay(reference, reconstruction)
    power = [float(x.waveform.double().square().mean()) for x in (reconstruction, reference)]
    return {
        "lag_ms": 1000 * lag / reference.sample_rate,
        "correlation": abs(correlation),
        "polarity": -1.0 if correlation < 0 else 1.0,
        "gain_db": 10 * float(np.log10(power[0] / power[1])),
    }


METRIC = Metric(
    name="alignment",
    version=1,
    columns=(
        Column("lag_ms", "ms", None, 2, "delay of the reconstruction, by cross-correlation"),
        Column("correlation", "", None, 3, "absolute normalised correlation at that delay"),
        Column("polarity", "", None, 0, "-1 where the reconstruction is upside down, else 1"),
        Column("gain_db", "dB", None, 2, "level of the reconstruction against the reference"),
    ),
    compute=compute,
)
