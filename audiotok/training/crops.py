"""Training data: crops of a corpus, each a function of the seed and its number alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import soundfile
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from audiotok.audio import Audio, read
from audiotok.data import Clip, Corpus
from audiotok.errors import RecipeError
from audiotok.training.recipe import Recipe


def split_speakers(corpus: Corpus, recipe: Recipe) -> tuple[list[Clip], list[Clip]]:
    """Clips for training and for validation; no speaker is in both.

    A clip without a speaker counts as a speaker of its own. Which speakers validate depends on
    the seed alone.

    Raises:
        RecipeError: a listed clip is not in the corpus, or one side would be empty.
    """
    clips = {clip.id: clip for clip in corpus}
    chosen = recipe.data.clips or tuple(clips)
    if missing := [name for name in chosen if name not in clips]:
        raise RecipeError(
            f"{len(missing)} of {len(chosen)} clips of the recipe are not in corpus "
            f"{recipe.data.corpus}, {missing[0]!r} first: set data.corpus to one that has them"
        )
    speakers = sorted({clips[name].speaker or name for name in chosen})
    shuffled = np.random.default_rng(recipe.seed).permutation(speakers)
    held_out = set(shuffled[: round(recipe.data.validation_fraction * len(speakers))])
    train = [clips[name] for name in chosen if (clips[name].speaker or name) not in held_out]
    validation = [clips[name] for name in chosen if (clips[name].speaker or name) in held_out]
    if not train or not validation:
        raise RecipeError(
            f"{len(speakers)} speakers at data.validation_fraction "
            f"{recipe.data.validation_fraction} leave {len(train)} clips to train on and "
            f"{len(validation)} to validate on: expected at least one each"
        )
    return train, validation


class Crops(Dataset[Tensor]):
    """Crop number i: a place drawn uniformly over all the sound, a gain, (1, samples) float32.

    Only the crop is read, by seeking; clips shorter than a crop are repeated.
    """

    def __init__(self, clips: Sequence[Clip], recipe: Recipe):
        self.paths = [clip.path for clip in clips]
        self.seconds = np.array([soundfile.info(path).duration for path in self.paths])
        self.recipe = recipe

    def __len__(self) -> int:
        return self.recipe.steps * self.recipe.data.batch_size

    def __getitem__(self, index: int) -> Tensor:
        rng = np.random.default_rng([self.recipe.seed, index])
        path = self.paths[rng.choice(len(self.paths), p=self.seconds / self.seconds.sum())]
        rate = self.recipe.model.sample_rate
        samples = round(self.recipe.data.crop_seconds * rate)
        with soundfile.SoundFile(path) as file:
            wanted = -(-samples * file.samplerate // rate)
            file.seek(int(rng.integers(max(1, file.frames - wanted + 1))))
            piece = file.read(wanted, dtype="float32", always_2d=True)
        audio = Audio(torch.from_numpy(piece.T.copy()), file.samplerate)
        waveform = audio.to_channels(1).resample(rate).waveform
        repeats = -(-samples // waveform.shape[-1])
        gain = 10 ** (rng.uniform(*self.recipe.data.gain_db) / 20)
        return waveform.repeat(1, repeats)[:, :samples] * gain


def batches(crops: Crops, first_step: int) -> DataLoader[Tensor]:
    """Batches (B, 1, samples) from `first_step` on, read ahead by one worker process."""
    size = crops.recipe.data.batch_size
    return DataLoader(
        crops,
        size,
        sampler=range(first_step * size, len(crops)),
        num_workers=1,
        prefetch_factor=8,
        generator=torch.Generator(),  # leaves the global random state alone: a resume repeats it
    )


def validation_waveforms(clips: Sequence[Clip], sample_rate: int) -> list[Tensor]:
    """Whole clips (1, 1, L), mono at `sample_rate`."""
    return [read(c.path).to_channels(1).resample(sample_rate).waveform[None] for c in clips]
