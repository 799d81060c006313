"""Loudness of both sounds and their difference, as broadcasters measure it.

Integrated loudness of ITU-R BS.1770-4 in fp64, equal to torchaudio's, at the rate of the
reference: blocks of 0.4 s through the K-weighting, gated at -70 LUFS and at 10 LU below their mean.
Its filters are those of pyloudnorm's default, which read up to 0.1 LU below the standard's at
44.1 kHz and 0.2 LU
at 8 kHz; of the difference nothing is left of that. Stereo: the sum of both channels, as the
standard has it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import MetricError
from audiotok.metrics import Column, Metric

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

MIN_SECONDS = 0.4
"""One block."""


def loudness(audio: Audio, what: str) -> float:
    """LUFS; MetricError where the sound lasts less than a block, or no block exceeds -70 LUFS."""
    if audio.duration < MIN_SECONDS:
        raise MetricError(
            f"loudness has no value: the sound lasts {audio.duration:.3f} s, "
            f"at least {MIN_SECONDS} s are needed"
        )
    value = _integrated(audio.waveform.double().numpy(), audio.sample_rate)
    if value is None:
        raise MetricError(f"loudness has no value: no block of the {what} exceeds -70 LUFS")
    return value


def _integrated(waveform: np.ndarray, sample_rate: int) -> float | None:
    """LUFS of (C, L); None if no block exceeds -70 LUFS."""
    from scipy.signal import lfilter

    for taps in (_shelf(sample_rate), _high_pass(sample_rate)):
        waveform = np.clip(lfilter(*taps, waveform), -1, 1)
    size = round(MIN_SECONDS * sample_rate)
    blocks = np.lib.stride_tricks.sliding_window_view(waveform, size, axis=-1)
    powers = np.square(blocks[:, :: round(size / 4)]).mean(-1).sum(0)
    powers = powers[_level(powers) > -70]
    if not len(powers):
        return None
    return float(_level(powers[_level(powers) > _level(powers.mean()) - 10].mean()))


def _level(power: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return -0.691 + 10 * np.log10(power)


def _shelf(sample_rate: int) -> tuple[list[float], list[float]]:
    """Numerator and denominator of the high shelf: +4 dB from 1500 Hz."""
    gain, angle = 10 ** (4 / 40), 2 * math.pi * 1500 / sample_rate
    cosine, slope = math.cos(angle), math.sqrt(2 * gain) * math.sin(angle)
    above, below = gain + 1, gain - 1
    return (
        [
            gain * (above + below * cosine + slope),
            -2 * gain * (below + above * cosine),
            gain * (above + below * cosine - slope),
        ],
        [
            above - below * cosine + slope,
            2 * (below - above * cosine),
            above - below * cosine - slope,
        ],
    )


def _high_pass(sample_rate: int) -> tuple[list[float], list[float]]:
    """Numerator and denominator of the high-pass at 38 Hz, Q 0.5."""
    angle = 2 * math.pi * 38 / sample_rate
    cosine, sine = math.cos(angle), math.sin(angle)
    half = (1 + cosine) / 2
    return [half, -1 - cosine, half], [1 + sine, -2 * cosine, 1 - sine]


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Columns loudness_reference, loudness and loudness_difference."""
    before, after = loudness(reference, "reference"), loudness(reconstruction, "reconstruction")
    return {
        "loudness_reference": before,
        "loudness": after,
        "loudness_difference": after - before,
    }


METRIC = Metric(
    name="loudness",
    version=1,
    columns=(
        Column("loudness_reference", "LUFS", None, 1, "integrated loudness of the reference"),
        Column("loudness", "LUFS", None, 1, "integrated loudness of the reconstruction"),
        Column("loudness_difference", "LU", None, 2, "the reconstruction's less the reference's"),
    ),
    compute=compute,
)
