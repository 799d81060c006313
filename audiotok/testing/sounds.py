"""Synthetic test sounds, the same on every machine."""

from __future__ import annotations

import math

import numpy as np
import torch

from audiotok.sound.audio import Audio


def sounds(sample_rate: int) -> dict[str, Audio]:
    """Sounds that are difficult for codecs, by name; at `sample_rate` or the rate in the name."""
    time = np.arange(int(0.6 * sample_rate)) / sample_rate
    clicks = np.zeros(sample_rate // 4)
    clicks[[len(clicks) // 3, len(clicks) // 2]] = 0.9, -0.9
    at_44k = np.arange(int(0.4 * 44_100)) / 44_100
    sweep = 0.4 * np.sin(2 * math.pi * (100 * at_44k + 3000 * at_44k**2))
    signals = {
        "a tone": 0.5 * np.sin(2 * math.pi * 440 * time),
        "noise": 0.1 * _normal(sample_rate // 2 + 7),
        "a voice": voice(sample_rate, 1.0),
        "silence": np.zeros(sample_rate // 3),
        "clicks": clicks,
        "full scale": np.sign(np.sin(2 * math.pi * 110 * time[: len(time) // 2])),
        "louder than full scale": np.clip(2 * _normal(sample_rate // 3), -7, 7),
        "next to nothing": 1e-5 * _normal(sample_rate // 3),
        "a constant": np.full(sample_rate // 4, 0.5),
        "one sample": np.array([0.25]),
    }
    audios = {name: audio(samples, sample_rate) for name, samples in signals.items()}
    return audios | {"a stereo sweep at 44.1 kHz": audio(np.stack([sweep, 0.5 * sweep]), 44_100)}


def noise(num_samples: int, sample_rate: int, channels: int = 1, seed: int = 1) -> Audio:
    """White noise at -20 dB."""
    return audio(0.1 * _normal((channels, num_samples), seed), sample_rate)


def voice(sample_rate: int, seconds: float, seed: int = 3) -> np.ndarray:
    """Synthetic speech: a gliding pitch with harmonics, syllables and breath. (L,), peak 0.5."""
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    phase = 2 * math.pi * (120 * time + 3 * np.sin(2 * math.pi * 1.3 * time))
    vowel = 1 + 0.5 * np.sin(2 * math.pi * 2.1 * time)
    harmonics = [k for k in range(1, 25) if 180 * k < sample_rate / 2]
    voiced = sum(np.sin(k * phase) / k**vowel for k in harmonics)
    loudness = np.sin(2 * math.pi * 2 * time) ** 2
    speech = voiced * loudness + 0.3 * _normal(len(time), seed) * (1 - loudness)
    return 0.5 * speech / np.abs(speech).max()


def audio(samples: np.ndarray, sample_rate: int) -> Audio:
    """An Audio of samples (L,) or (C, L) of any float type."""
    return Audio(torch.from_numpy(np.atleast_2d(samples)).float(), sample_rate)


def _normal(shape: int | tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)
