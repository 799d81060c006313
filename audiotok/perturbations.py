"""Perturbations that leave what is heard nearly the same: noise, coarse samples, a codec, gain.

The six of StableToken (Song et al. 2025, arXiv 2509.22220, table 1), at levels of our own: noise
20 dB below the sound, 8 bits per sample, Opus at 6 kbit/s. Seeded by the sound itself, so every
codec gets the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache

import numpy as np
import torch

from audiotok.audio import Audio
from audiotok.errors import MetricError

SNR = 20.0  # dB
BITS = 8
OPUS = "opus-6k"
GAIN = 6.0  # dB
SHIFT = 0.002  # seconds
OTHER_RATES = (44_100, 48_000)  # Hz: the first that the sound does not have
_EXPONENTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}  # power falls as 1 / frequency ** exponent


def noisy(audio: Audio, noise: np.ndarray, snr: float = SNR) -> Audio:
    """`audio` with `noise` (C, L) `snr` dB below it, both over the whole clip and all channels."""
    sound = audio.waveform.double()
    power, added = float(sound.square().mean()), float(np.square(noise).mean())
    if power == 0 or added == 0:
        raise MetricError("no noise can be set below digital silence")
    gain = (power / added) ** 0.5 * 10 ** (-snr / 20)
    return Audio((sound + gain * torch.from_numpy(noise)).float(), audio.sample_rate)


def coloured(kind: str, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
    """Gaussian noise (C, L), "white", "pink" or "brown", without a mean; not scaled."""
    spectrum = np.fft.rfft(generator.standard_normal(shape))
    frequencies = np.arange(spectrum.shape[1], dtype=np.float64)
    frequencies[0] = np.inf if spectrum.shape[1] > 1 else 1.0
    spectrum *= frequencies ** (-_EXPONENTS[kind] / 2)
    if kind == "white" and spectrum.shape[1] > 1:
        spectrum[:, 0] = 0
    return np.fft.irfft(spectrum, shape[1])


def crushed(audio: Audio, bits: int = BITS) -> Audio:
    """Samples rounded to `bits` bits."""
    steps = 2.0 ** (bits - 1)
    return Audio((audio.waveform * steps).round() / steps, audio.sample_rate)


def background(audio: Audio, generator: np.random.Generator) -> np.ndarray:
    """A piece (C, L) of an everyday sound of the corpus that ships, repeated where it is short."""
    sounds = _sounds()
    return _piece_for(audio, sounds[generator.integers(len(sounds))], generator)


def backgrounds(audio: Audio, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of two everyday sounds, as `background` gives one."""
    sounds = _sounds()
    one, two = generator.choice(len(sounds), 2, replace=False)
    return _piece_for(audio, sounds[one], generator), _piece_for(audio, sounds[two], generator)


def _piece_for(audio: Audio, sound: Audio, generator: np.random.Generator) -> np.ndarray:
    samples = sound.resample(audio.sample_rate).to_channels(1).waveform[0].double().numpy()
    start = generator.integers(len(samples))
    piece = np.take(samples, np.arange(start, start + audio.num_samples), mode="wrap")
    return np.tile(piece, (audio.channels, 1))


@cache
def _sounds() -> list[Audio]:
    from audiotok import data

    return [clip.read() for clip in data.load("bundled") if clip.label == "sound"]


@cache
def _opus():
    from audiotok import registry

    return registry.load(OPUS, quiet=True)


def louder(audio: Audio, gain: float) -> Audio:
    """By `gain` dB."""
    return Audio(audio.waveform * 10 ** (gain / 20), audio.sample_rate)


def resampled(audio: Audio) -> Audio:
    """To another rate, and back."""
    other = next(rate for rate in OTHER_RATES if rate != audio.sample_rate)
    back = audio.resample(other).resample(audio.sample_rate)
    return Audio(back.waveform[:, : audio.num_samples], audio.sample_rate)


def shifted(audio: Audio, seconds: float = SHIFT) -> Audio:
    """Earlier by `seconds`; silence follows."""
    early = audio.waveform[:, round(seconds * audio.sample_rate) :]
    rest = audio.num_samples - early.shape[1]
    return Audio(torch.nn.functional.pad(early, (0, rest)), audio.sample_rate)


def _with(kind: str) -> Callable[[Audio, np.random.Generator], Audio]:
    return lambda audio, generator: noisy(
        audio, coloured(kind, tuple(audio.waveform.shape), generator)
    )


PERTURBATIONS: dict[str, Callable[[Audio, np.random.Generator], Audio]] = {
    "white": _with("white"),
    "pink": _with("pink"),
    "brown": _with("brown"),
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


def generator(audio: Audio, what: str) -> np.random.Generator:
    """Random numbers of one perturbation of one sound."""
    return np.random.default_rng([
        zlib.crc32(audio.waveform.contiguous().numpy()), zlib.crc32(what.encode())
    ])  # fmt: skip
