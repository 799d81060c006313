"""Training data: crops of a corpus, each a function only of the seed and its number."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.utils.data import Dataset

from audiotok.errors import AudioError, RecipeError
from audiotok.sound.audio import Audio
from audiotok.training import augmentation
from audiotok.training.index import Index
from audiotok.training.settings import DataConfig
from audiotok.training.sounds import Joined, Sounds

_ATTEMPTS = 100  # recordings tried for one crop before giving up


class Crop(NamedTuple):
    """A crop, and the recordings that were drawn before it and could not be read."""

    waveform: Tensor | None  # (C, samples) float32; None if every attempt failed
    broken: tuple[str, ...]  # ids


class Crops(Dataset[Crop]):
    """Crop number i: from a position drawn uniformly over all sound, with the recipe's
    augmentation.

    With additional corpora, the position of a crop in its batch determines its corpus, so that each
    batch has their shares. Only the crop is read, by seeking; recordings shorter than a crop are
    repeated. Instead of a recording that cannot be read, another one is drawn from the same random
    generator.
    """

    def __init__(
        self,
        sounds: Joined,
        index: Index,
        settings: DataConfig,
        *,
        sample_rate: int,
        channels: int,
        seed: int,
    ):
        self.sounds, self.index, self.settings, self.seed = sounds, index, settings, seed
        self.sample_rate, self.channels = sample_rate, channels
        self.samples = round(settings.crop_seconds * sample_rate)
        parts = sounds.part_of(index.numbers)
        self._numbers = [
            index.numbers[parts == part_number] for part_number in range(len(sounds.parts))
        ]
        self._ends = [
            np.cumsum(index.seconds[parts == part_number])
            for part_number in range(len(sounds.parts))
        ]
        for numbers, source in zip(self._numbers, settings.corpora, strict=True):
            if not len(numbers):
                raise RecipeError(f"no recording of {source} is left to train on: leave it out")
        self._share_ends = np.cumsum(settings.shares)

    def __getitem__(self, number: int) -> Crop:
        rng = np.random.default_rng([self.seed, number])
        position = (number % self.settings.batch_size + 0.5) / self.settings.batch_size
        waveform, broken = self._draw(rng, position)
        room, mixing = self.settings.room, self.settings.mixing
        if waveform is not None and room is not None and rng.random() < room.probability:
            waveform = augmentation.reverberate(waveform, rng, room, self.sample_rate)
        if waveform is not None and mixing is not None and rng.random() < mixing.probability:
            other, more_broken = self._draw(rng, rng.random() if self.settings.additional else 0.0)
            broken += more_broken
            if other is not None:
                waveform = augmentation.mix(waveform, other, rng.uniform(*mixing.snr_db))
        if waveform is not None:
            waveform = augmentation.at_level(waveform, rng, self.settings)
        return Crop(waveform, tuple(broken))

    def _draw(self, rng: np.random.Generator, share: float) -> tuple[Tensor | None, list[str]]:
        """A crop (C, samples), None if every attempt failed; and ids that could not be read.

        Args:
            share: number from 0 to 1 that selects the corpus; the corpora divide this range by
                their shares.
        """
        corpus = min(
            int(np.searchsorted(self._share_ends, share, side="right")), len(self._ends) - 1
        )
        ends, numbers = self._ends[corpus], self._numbers[corpus]
        speeds, broken = self.settings.speed, []
        for _ in range(_ATTEMPTS):
            row = int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))
            number = int(numbers[min(row, len(ends) - 1)])
            position = rng.random()
            speed = 1.0 if speeds is None else round(rng.uniform(*speeds), 2)
            try:
                crop = read_piece(
                    self.sounds,
                    number,
                    samples=self.samples,
                    sample_rate=self.sample_rate,
                    channels=self.channels,
                    place=position,
                    speed=speed,
                )
            except AudioError:
                broken.append(self.sounds.ids[number])
                continue
            repeats = -(-self.samples // crop.shape[-1])
            return crop.repeat(1, repeats)[:, : self.samples], broken
        return None, broken


def read_piece(
    sounds: Sounds,
    number: int,
    *,
    samples: int | None,
    sample_rate: int,
    channels: int,
    place: float = 0.0,
    speed: float = 1.0,
) -> Tensor:
    """A piece (C, L) of a recording at `sample_rate`, L at most `samples`; all of it if None.

    Args:
        place: position in the recording, from 0 (its start) to 1.
        speed: factor of speed and pitch.

    Raises:
        AudioError: it cannot be read, or is not finite.
    """
    try:
        with soundfile.SoundFile(sounds.open(number)) as file:
            rate = round(file.samplerate * speed)
            length = file.frames if samples is None else -(-samples * rate // sample_rate)
            file.seek(int(place * max(1, file.frames - length + 1)))
            piece = file.read(length, dtype="float32", always_2d=True)
            short = len(piece) < min(length, file.frames)
    except (OSError, RuntimeError, TypeError) as reason:
        raise AudioError(f"{sounds.ids[number]} cannot be read: {reason}") from reason
    if short:
        raise AudioError(f"{sounds.ids[number]} ends before its header says")
    if piece.shape[1] > 2:
        piece = piece.mean(axis=1, keepdims=True)
    audio = Audio(torch.from_numpy(np.ascontiguousarray(piece.T)), rate)
    return audio.to_channels(channels).resample(sample_rate).waveform[:, :samples]
