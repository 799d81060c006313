"""Perturbations that a listener hardly notices: noise, fewer bits per sample, a codec, gain.

The six of StableToken (Song et al. 2025, arXiv 2509.22220, table 1), at levels chosen here: noise
20 dB below the sound, 8 bits per sample, Opus at 6 kbit/s. Seeded by the sound itself, so every
codec gets the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import torch

from audiotok.data._noise import SNR, background, coloured, generator, noisy
from audiotok.sound.audio import Audio

__all__ = ["CHANGES", "PERTURBATIONS", "SNR", "generator"]

BITS = 8
OPUS = "opus-6k"
GAIN = 6.0  # dB
SHIFT = 0.002  # seconds
OTHER_RATES = (44_100, 48_000)  # Hz: the first one that is not the rate of the sound


def crushed(audio: Audio, bits: int = BITS) -> Audio:
    """Samples rounded to `bits` bits."""
    steps = 2.0 ** (bits - 1)
    return Audio((audio.waveform * steps).round() / steps, audio.sample_rate)


@cache
def _opus():
    from audiotok.codec import registry

    return registry.load(OPUS, device="cpu", quiet=True)


def louder(audio: Audio, gain: float) -> Audio:
    """The sound amplified by `gain` dB."""
    return Audio(audio.waveform * 10 ** (gain / 20), audio.sample_rate)


def resampled(audio: Audio) -> Audio:
    """The sound resampled to another rate and back."""
    other_rate = next(rate for rate in OTHER_RATES if rate != audio.sample_rate)
    sound = audio.resample(other_rate).resample(audio.sample_rate)
    return Audio(sound.waveform[:, : audio.num_samples], audio.sample_rate)


def shifted(audio: Audio, seconds: float = SHIFT) -> Audio:
    """The sound without its first `seconds`, padded with silence at the end."""
    tail = audio.waveform[:, round(seconds * audio.sample_rate) :]
    missing = audio.num_samples - tail.shape[1]
    return Audio(torch.nn.functional.pad(tail, (0, missing)), audio.sample_rate)


def _with_noise(kind: str) -> Callable[[Audio, np.random.Generator], Audio]:
    return lambda audio, generator: noisy(
        audio, coloured(kind, tuple(audio.waveform.shape), generator)
    )


PERTURBATIONS: dict[str, Callable[[Audio, np.random.Generator], Audio]] = {
    "white": _with_noise("white"),
    "pink": _with_noise("pink"),
    "brown": _with_noise("brown"),
    "crush": lambda audio, _: crushed(audio),
    "background": lambda audio, generator: noisy(audio, background(audio, generator)),
    "codec": lambda audio, _: _opus().reconstruct(audio),
}
CHANGES: dict[str, Callable[[Audio, np.random.Generator], Audio]] = {
    "louder": lambda audio, _: louder(audio, GAIN),
    "quieter": lambda audio, _: louder(audio, -GAIN),
    "resampled": lambda audio, _: resampled(audio),
    "shifted": lambda audio, _: shifted(audio),
}
