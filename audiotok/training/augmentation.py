"""Augmentation of crops: reverberation, mixing with another sound, level.

It depends only on a random generator, so that a crop is a function of its number.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.signal import fftconvolve
from torch import Tensor

from audiotok.training.settings import DataConfig, RoomConfig


def room_response(
    rng: np.random.Generator, sample_rate: int, seconds: float, direct_db: float
) -> np.ndarray:
    """Impulse response (L,) of a room: direct sound 1, then noise that decays exponentially.

    Polack's model (J.-D. Polack 1993, 'Playing billiards in the concert hall', Applied Acoustics
    38), without early reflections.

    Args:
        sample_rate: Hz.
        seconds: until the reverberation has decayed by 60 dB (RT60), L samples.
        direct_db: energy of the direct sound relative to the reverberation.
    """
    length = max(2, round(seconds * sample_rate))
    response = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    response[0] = 0
    response *= 10 ** (-direct_db / 20) / np.linalg.norm(response)
    response[0] = 1
    return response


def reverberate(
    waveform: Tensor, rng: np.random.Generator, settings: RoomConfig, sample_rate: int
) -> Tensor:
    """A waveform (C, L) with the reverberation of a random room, and unchanged power."""
    seconds, direct_db = rng.uniform(*settings.seconds), rng.uniform(*settings.direct_db)
    response = room_response(rng, sample_rate, seconds, direct_db).astype(np.float32)
    reverberated = fftconvolve(waveform.numpy(), response[None], axes=1)[:, : waveform.shape[1]]
    power, new_power = waveform.square().mean(), float(np.square(reverberated).mean())
    return torch.from_numpy(reverberated) * (power / max(new_power, 1e-12)).sqrt()


def mix(waveform: Tensor, other: Tensor, snr_db: float) -> Tensor:
    """The sum of two waveforms (C, L), the second scaled so that the first has `snr_db` more power.

    If one of them is silent, the first alone.
    """
    power, other_power = (sound.square().mean() for sound in (waveform, other))
    if other_power == 0 or power == 0:
        return waveform
    return waveform + other * (power / other_power * 10 ** (-snr_db / 10)).sqrt()


def at_level(waveform: Tensor, rng: np.random.Generator, settings: DataConfig) -> Tensor:
    """A waveform (C, L) at a random gain or peak, in the range of the settings."""
    if settings.gain_db is not None:
        return waveform * 10 ** (rng.uniform(*settings.gain_db) / 20)
    if settings.peak_db is not None:
        level = 10 ** (rng.uniform(*settings.peak_db) / 20)
        return waveform * (level / waveform.abs().max().clamp(min=1e-5))
    return waveform
