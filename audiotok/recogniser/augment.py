"""Data augmentation: speed, noise, reverberation, equalisation, level. Seeded, on the CPU."""

from __future__ import annotations

import numpy as np
import torch
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import fftconvolve
from torch import Tensor

from audiotok.nn.log_mel import SAMPLE_RATE
from audiotok.recogniser.recipe import AugmentConfig
from audiotok.sound.sinc import Resample


def augment(waveform: Tensor, settings: AugmentConfig, rng: np.random.Generator) -> Tensor:
    """(L,) at 16 kHz -> (L',), where L' is L divided by the random speed factor."""
    pace = rng.choice(settings.pace)
    if pace != 1:
        waveform = Resample(round(SAMPLE_RATE * pace), SAMPLE_RATE)(waveform)
    if settings.reverberation is not None and rng.random() < 0.5:
        waveform = _reverberate(waveform, rng.uniform(*settings.reverberation), rng)
    if settings.equaliser_db:
        waveform = _equalise(waveform, settings.equaliser_db, settings.low_pass, rng)
    if settings.snr_db is not None:
        waveform = waveform + _noise(waveform, rng.uniform(*settings.snr_db), rng)
    return waveform * 10 ** (rng.uniform(*settings.gain_db) / 20)


def _reverberate(waveform: Tensor, seconds: float, rng: np.random.Generator) -> Tensor:
    """Convolution with a direct path and noise that decays by 60 dB in `seconds`."""
    time = np.arange(1, round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    tail *= rng.uniform(0.1, 0.7) / np.linalg.norm(tail)
    convolved = fftconvolve(waveform.numpy(), np.concatenate([[1.0], tail]))[: len(waveform)]
    return torch.from_numpy(convolved.astype(np.float32))


def _equalise(waveform: Tensor, max_db: float, low_pass: float, rng: np.random.Generator) -> Tensor:
    """A random equaliser with gains of at most ±`max_db`, smooth over log frequency; one in three
    clips is also low-pass filtered, between `low_pass` Hz and half the sample rate."""
    size = next_fast_len(len(waveform), real=True)
    frequency = np.arange(size // 2 + 1) * SAMPLE_RATE / size
    corners = np.geomspace(100, SAMPLE_RATE / 2, 7)
    gains = np.interp(np.log(frequency + 1), np.log(corners), rng.uniform(-max_db, max_db, 7))
    response = 10 ** (gains / 20)
    if rng.random() < 1 / 3:
        response *= frequency < rng.uniform(low_pass, SAMPLE_RATE / 2)
    filtered = irfft(rfft(waveform.numpy(), size) * response, size)[: len(waveform)]
    return torch.from_numpy(filtered.astype(np.float32))


def _noise(waveform: Tensor, snr_db: float, rng: np.random.Generator) -> Tensor:
    """Noise with the power spectrum f^-a, for a random a in 0 to 2, at that SNR."""
    size = next_fast_len(len(waveform), real=True)
    spectrum = rfft(rng.standard_normal(size))
    coloured = spectrum * np.arange(1, len(spectrum) + 1) ** (-rng.uniform(0, 2) / 2)
    noise = torch.from_numpy(irfft(coloured, size)[: len(waveform)].astype(np.float32))
    power = waveform.square().mean() / noise.square().mean().clamp(min=1e-20)
    return noise * (power * 10 ** (-snr_db / 10)).sqrt()
