"""STOI and ESTOI: how intelligible speech is, by short-time correlation of its band envelopes.

Taal, Hendriks, Heusdens and Jensen 2011; extended: Jensen and Taal 2016; the numbers of the package
pystoi, all segments at once. Both are defined at 10 kHz, to which both sounds are resampled with
the filter of pystoi (Octave's `resample`), whatever the rate of the reference: what lies above 5
kHz does not count. Frames 40 dB below the loudest one of the reference are dropped; at least 30
(0.4 s) must stay. Stereo: the mean of both channels.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import scipy.signal

from audiotok.errors import MetricError
from audiotok.metrics import Column, Metric
from audiotok.metrics._signals import channels, sounding

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

RATE = 10_000  # Hz
FRAME, HOP = 256, 128  # samples
BANDS, LOWEST = 15, 150  # third octaves; Hz, the centre of the first one
SEGMENT = 30  # frames
RANGE = 40  # dB below the loudest frame of the reference
CLIP = 1 + 10 ** (15 / 20)  # of an envelope by that of the reference: -15 dB of distortion

_EPS = np.finfo(float).eps
_WINDOW = np.hanning(FRAME + 2)[1:-1]
_BLOCK = 2**12  # segments at once: memory stays bounded for any length


def scores(reference: np.ndarray, reconstruction: np.ndarray, sample_rate: int) -> np.ndarray:
    """STOI and ESTOI of two signals (L,). MetricError where too few frames of the first sound."""
    x, y = _sounding_frames(*(_resampled(s, sample_rate) for s in (reference, reconstruction)))
    x, y = _envelopes(x), _envelopes(y)
    if x.shape[1] < SEGMENT:
        raise MetricError(
            f"stoi has no value: fewer than {SEGMENT} frames (0.4 s) of the reference are sound; "
            f"it lasts {len(reference) / sample_rate:.3f} s"
        )
    segments = [np.lib.stride_tricks.sliding_window_view(e, SEGMENT, 1) for e in (x, y)]
    x, y = (s.transpose(1, 0, 2) for s in segments)  # (segments, BANDS, SEGMENT)
    noise = np.random.RandomState(0)
    noisy = any((np.ptp(s, axis=2) <= 1e-9 * s.max()).any() for s in (x, y))
    total = np.zeros(2)
    for at in range(0, len(x), _BLOCK):
        a, b = x[at : at + _BLOCK], y[at : at + _BLOCK]
        total += _stoi(a, b), _estoi(a, b, noise if noisy else None)
    return total / len(x)


def _resampled(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    if sample_rate == RATE:
        return samples
    divisor = math.gcd(RATE, sample_rate)
    up, down = RATE // divisor, sample_rate // divisor
    return scipy.signal.resample_poly(samples, up, down, window=_octaves_filter(up, down))


@lru_cache(maxsize=16)
def _octaves_filter(up: int, down: int) -> np.ndarray:
    """A Kaiser-windowed sinc of 60 dB rejection whose roll-off is a tenth of its cutoff."""
    cutoff = 1 / (2 * max(up, down))
    reach = math.ceil((60 - 8) / (28.714 * cutoff / 10))
    taps = np.sinc(2 * cutoff * np.arange(-reach, reach + 1))
    taps *= np.kaiser(2 * reach + 1, 0.1102 * (60 - 8.7))
    return taps / taps.sum()


def _frames(samples: np.ndarray) -> np.ndarray:
    """Windowed frames (frames, FRAME); as in pystoi, one that would end at the very end is not."""
    count = max(0, -(-(len(samples) - FRAME) // HOP))
    if not count:
        return np.empty((0, FRAME))
    return np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP][:count] * _WINDOW


def _sounding_frames(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sounds put together again from the frames in which the first one sounds."""
    x, y = _frames(x), _frames(y)
    levels = 20 * np.log10(np.linalg.norm(x, axis=1) + _EPS)
    kept = levels > levels.max(initial=-np.inf) - RANGE
    return _overlap_add(x[kept]), _overlap_add(y[kept])


def _overlap_add(frames: np.ndarray) -> np.ndarray:
    halves = np.zeros((len(frames) + 1, HOP))
    halves[:-1] += frames[:, :HOP]
    halves[1:] += frames[:, HOP:]
    return halves.ravel()


def _envelopes(samples: np.ndarray) -> np.ndarray:
    """(BANDS, frames) of third-octave magnitudes."""
    power = np.abs(np.fft.rfft(_frames(samples), 2 * FRAME)) ** 2
    return np.sqrt(_bands() @ power.T)


@lru_cache(maxsize=1)
def _bands() -> np.ndarray:
    """(BANDS, FRAME + 1) of 0 and 1; edges at the nearest bin."""
    bins = np.arange(FRAME + 1)
    centres = LOWEST * 2 ** (np.arange(BANDS)[:, None] / 3)
    low, high = (
        np.abs(bins * RATE / (2 * FRAME) - centres * 2**o).argmin(1) for o in (-1 / 6, 1 / 6)
    )
    return ((bins >= low[:, None]) & (bins < high[:, None])).astype(float)


def _stoi(x: np.ndarray, y: np.ndarray) -> float:
    """The sum over segments of the mean correlation of their bands (equation 5)."""
    scale = _norm(x, 2) / (_norm(y, 2) + _EPS)
    y = np.minimum(y * scale, x * CLIP)
    x, y = (s - s.mean(2, keepdims=True) for s in (x, y))
    products = np.einsum("sbt,sbt->sb", x, y)
    return float((products / ((_norm(x, 2) + _EPS) * (_norm(y, 2) + _EPS))[..., 0]).sum() / BANDS)


def _estoi(x: np.ndarray, y: np.ndarray, noise: np.random.RandomState | None) -> float:
    """The sum over segments of the mean correlation of their spectra.

    Where an envelope stands still its direction is 0 / 0; pystoi adds noise of 1e-16 to all.
    """
    x, y = (_normalised(_normalised(s, 2, noise), 1, noise) for s in (x, y))
    return float(np.einsum("sbt,sbt->", x, y) / SEGMENT)


def _normalised(s: np.ndarray, axis: int, noise: np.random.RandomState | None) -> np.ndarray:
    if noise is not None:
        s = s + _EPS * noise.standard_normal(s.shape)
    s = s - s.mean(axis, keepdims=True)
    return s / _norm(s, axis)


def _norm(s: np.ndarray, axis: int) -> np.ndarray:
    """Euclidean, with the axis kept; faster than numpy.linalg.norm."""
    kept = "sb" if axis == 2 else "st"
    return np.expand_dims(np.sqrt(np.einsum(f"sbt,sbt->{kept}", s, s)), axis)


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Columns stoi and estoi, about 0 to 1. Silence and short speech raise MetricError."""
    sounding("stoi", reference, reconstruction)
    pairs = channels(reference, reconstruction)
    stoi, estoi = np.mean([scores(a, b, reference.sample_rate) for a, b in pairs], axis=0)
    return {"stoi": float(stoi), "estoi": float(estoi)}


METRIC = Metric(
    name="stoi",
    version=2,
    columns=(
        Column("stoi", "", True, 3, "short-time objective intelligibility, at 10 kHz"),
        Column("estoi", "", True, 3, "extended short-time objective intelligibility, at 10 kHz"),
    ),
    compute=compute,
    of_speech=True,
)
