"""Noise at a given signal-to-noise ratio: coloured noise, and everyday sounds of the bundled
corpus. Seeded by the sound itself, so that every codec gets the same noise."""

from __future__ import annotations

import zlib
from functools import cache

import numpy as np
import torch

from audiotok.data import load
from audiotok.errors import MetricError
from audiotok.sound.audio import Audio

SNR = 20.0  # dB
_EXPONENTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}  # power falls as 1 / frequency ** exponent


def noisy(audio: Audio, noise: np.ndarray, snr: float = SNR) -> Audio:
    """`audio` with `noise` (C, L) `snr` dB below it, both over the whole clip and all channels."""
    sound = audio.waveform.double()
    sound_power, noise_power = float(sound.square().mean()), float(np.square(noise).mean())
    if sound_power == 0 or noise_power == 0:
        raise MetricError("digital silence has no signal-to-noise ratio")
    gain = (sound_power / noise_power) ** 0.5 * 10 ** (-snr / 20)
    return Audio((sound + gain * torch.from_numpy(noise)).float(), audio.sample_rate)


def coloured(kind: str, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Gaussian noise (C, L), "white", "pink" or "brown", with mean 0; not scaled."""
    spectrum = np.fft.rfft(generator.standard_normal(shape))
    frequencies = np.arange(spectrum.shape[1], dtype=np.float64)
    frequencies[0] = np.inf if spectrum.shape[1] > 1 else 1.0
    spectrum *= frequencies ** (-_EXPONENTS[kind] / 2)
    if kind == "white" and spectrum.shape[1] > 1:
        spectrum[:, 0] = 0
    return np.fft.irfft(spectrum, shape[1])


def background(audio: Audio, generator: np.random.Generator) -> np.ndarray:
    """An excerpt (C, L) of an everyday sound of the bundled corpus, repeated if it is too short."""
    sounds = _sounds()
    return _excerpt(audio, sounds[generator.integers(len(sounds))], generator)


def backgrounds(audio: Audio, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Excerpts of two different everyday sounds, see `background`."""
    sounds = _sounds()
    first, second = generator.choice(len(sounds), 2, replace=False)
    return _excerpt(audio, sounds[first], generator), _excerpt(audio, sounds[second], generator)


def _excerpt(audio: Audio, sound: Audio, generator: np.random.Generator) -> np.ndarray:
    samples = sound.resample(audio.sample_rate).to_channels(1).waveform[0].double().numpy()
    start = generator.integers(len(samples))
    excerpt = np.take(samples, np.arange(start, start + audio.num_samples), mode="wrap")
    return np.tile(excerpt, (audio.channels, 1))


@cache
def _sounds() -> list[Audio]:
    return [clip.read() for clip in load("bundled") if clip.label == "sound"]


def generator(audio: Audio, purpose: str) -> np.random.Generator:
    """The random generator for one sound and one purpose, such as "noise"."""
    return np.random.default_rng([
        zlib.crc32(audio.waveform.contiguous().numpy()), zlib.crc32(purpose.encode())
    ])  # fmt: skip
