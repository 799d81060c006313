"""Magnitude spectrograms and mel filters in float64, the same bits on every run.

Framing as torch.stft and librosa do it by default: centred frames, reflected edges, a periodic
Hann window, a hop of a quarter window, no normalisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import scipy.sparse

_BLOCK = 2**20  # samples in flight: memory stays bounded for any length


def magnitudes(samples: np.ndarray, window_length: int) -> Iterator[np.ndarray]:
    """Blocks (frames, window_length // 2 + 1) of the magnitude spectrogram of samples (L,)."""
    window = np.hanning(window_length + 1)[:-1]
    padded = np.pad(samples, window_length // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, window_length)[:: window_length // 4]
    step = _BLOCK // window_length
    for start in range(0, len(frames), step):
        yield np.abs(np.fft.rfft(frames[start : start + step] * window))


@lru_cache(maxsize=64)
def mel_filters(sample_rate: int, window_length: int, num_mels: int) -> scipy.sparse.csr_array:
    """Triangles (num_mels, window_length // 2 + 1) from 0 Hz to half the rate, of equal area, on
    Slaney's mel scale (linear below 1 kHz, logarithmic above): librosa's default filters."""
    frequencies = np.linspace(0, sample_rate / 2, window_length // 2 + 1)
    edges = _mel_to_hz(np.linspace(0, _hz_to_mel(sample_rate / 2), num_mels + 2))
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    height = 2 / (edges[2:] - edges[:-2])
    return scipy.sparse.csr_array(np.maximum(0, np.minimum(rising, falling)) * height[:, None])


_HZ_PER_MEL = 200 / 3
_BREAK_MEL = 1000 / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    return hz / _HZ_PER_MEL if hz < 1000 else _BREAK_MEL + np.log(hz / 1000) / _LOG_STEP


def _mel_to_hz(mels: np.ndarray) -> np.ndarray:
    logarithmic = 1000 * np.exp(_LOG_STEP * (mels - _BREAK_MEL))
    return np.where(mels < _BREAK_MEL, mels * _HZ_PER_MEL, logarithmic)
