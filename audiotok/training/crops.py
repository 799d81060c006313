"""Training data: crops of a corpus, each a function of the seed and its number alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.utils.data import Dataset

from audiotok.errors import AudioError
from audiotok.sound.audio import Audio
from audiotok.training.index import Index
from audiotok.training.settings import DataConfig
from audiotok.training.sounds import Sounds

_ATTEMPTS = 100  # recordings tried for one crop before giving up


class Crop(NamedTuple):
    """A piece of sound, and which recordings could not be read on the way to it."""

    waveform: Tensor | None  # (C, samples) float32; None where every attempt failed
    broken: tuple[str, ...]  # ids


class Crops(Dataset[Crop]):
    """Crop number i: a place drawn uniformly over all the sound, mixed, at a level of its own.

    Only the crop is read, by seeking; recordings shorter than a crop are repeated. A recording
    that cannot be read is passed over for another, drawn from the same random numbers.
    """

    def __init__(
        self,
        sounds: Sounds,
        index: Index,
        settings: DataConfig,
        sample_rate: int,
        channels: int,
        seed: int,
    ):
        self.sounds, self.index, self.settings, self.seed = sounds, index, settings, seed
        self.sample_rate, self.channels = sample_rate, channels
        self.samples = round(settings.crop_seconds * sample_rate)
        self._ends = np.cumsum(index.seconds)

    def __getitem__(self, number: int) -> Crop:
        rng = np.random.default_rng([self.seed, number])
        waveform, broken = self._draw(rng)
        mixing = self.settings.mixing
        if waveform is not None and mixing is not None and rng.random() < mixing.probability:
            other, more = self._draw(rng)
            broken += more
            if other is not None:
                waveform = _mixed(waveform, other, rng.uniform(*mixing.snr_db))
        if waveform is not None:
            waveform = self._at_level(waveform, rng)
        return Crop(waveform, tuple(broken))

    def _draw(self, rng: np.random.Generator) -> tuple[Tensor | None, list[str]]:
        broken: list[str] = []
        for _ in range(_ATTEMPTS):
            row = int(np.searchsorted(self._ends, rng.random() * self._ends[-1], side="right"))
            number = int(self.index.numbers[min(row, len(self._ends) - 1)])
            place = rng.random()
            try:
                piece = read_piece(
                    self.sounds, number, self.samples, self.sample_rate, self.channels, place
                )
            except AudioError:
                broken.append(self.sounds.ids[number])
                continue
            repeats = -(-self.samples // piece.shape[-1])
            return piece.repeat(1, repeats)[:, : self.samples], broken
        return None, broken

    def _at_level(self, waveform: Tensor, rng: np.random.Generator) -> Tensor:
        if self.settings.gain_db is not None:
            return waveform * 10 ** (rng.uniform(*self.settings.gain_db) / 20)
        if self.settings.peak_db is not None:
            level = 10 ** (rng.uniform(*self.settings.peak_db) / 20)
            return waveform * (level / waveform.abs().max().clamp(min=1e-5))
        return waveform


def read_piece(
    sounds: Sounds,
    number: int,
    samples: int | None,
    sample_rate: int,
    channels: int,
    place: float = 0.0,
) -> Tensor:
    """A piece (C, L) of a recording at `sample_rate`, L at most `samples`; all of it if None.

    Args:
        place: where in the recording, from 0 (its start) to 1.

    Raises:
        AudioError: it cannot be read, or is not finite.
    """
    try:
        with soundfile.SoundFile(sounds.open(number)) as file:
            rate = file.samplerate
            wanted = file.frames if samples is None else -(-samples * rate // sample_rate)
            file.seek(int(place * max(1, file.frames - wanted + 1)))
            piece = file.read(wanted, dtype="float32", always_2d=True)
            short = len(piece) < min(wanted, file.frames)
    except (OSError, RuntimeError, TypeError) as reason:
        raise AudioError(f"{sounds.ids[number]} cannot be read: {reason}") from reason
    if short:
        raise AudioError(f"{sounds.ids[number]} ends before its header says")
    if piece.shape[1] > 2:
        piece = piece.mean(axis=1, keepdims=True)
    audio = Audio(torch.from_numpy(np.ascontiguousarray(piece.T)), rate)
    return audio.to_channels(channels).resample(sample_rate).waveform[:, :samples]


def _mixed(waveform: Tensor, other: Tensor, snr_db: float) -> Tensor:
    """Both, the second so loud that the first has `snr_db` more power; silence is not added."""
    power, other_power = (sound.square().mean() for sound in (waveform, other))
    if other_power == 0 or power == 0:
        return waveform
    return waveform + other * (power / other_power * 10 ** (-snr_db / 10)).sqrt()
