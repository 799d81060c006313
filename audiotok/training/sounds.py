"""The recordings of a run: files of a corpus, or rows of a Hugging Face dataset."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from audiotok import data
from audiotok.errors import CorpusError, MissingPackageError, RecipeError
from audiotok.system.names import Recorded
from audiotok.training.settings import DataConfig

_SPEAKER = ("speaker", "speaker_id", "client_id")  # columns of datasets


class Sounds(Protocol):
    """Recordings by number."""

    ids: Sequence[str]
    speakers: Sequence[str]  # the id of a recording whose speaker is unknown

    def open(self, number: int) -> str | io.BytesIO:
        """A path or a file object, which soundfile reads."""

    def signature(self) -> str:
        """A hash that changes if the recordings change."""


class Files:
    """Clips of a corpus. Paths are kept as bytes: a million of them take little memory."""

    def __init__(self, clips: Sequence[data.Clip]):
        if cut := next((clip.id for clip in clips if clip.is_segment), None):
            raise CorpusError(
                f"the clip {cut} is a segment of its file (offset, duration), and training reads "
                "whole files: write each segment to a file of its own"
            )
        self.ids = [clip.id for clip in clips]
        self.speakers = [clip.speaker or clip.id for clip in clips]
        self._paths = np.array([os.fsencode(clip.path.absolute()) for clip in clips])

    def open(self, number: int) -> str:
        return os.fsdecode(self._paths[number].item())

    def signature(self) -> str:
        """Hash of ids and sizes. Modification times are not part of it, since copying changes
        them."""
        total = hashlib.sha256()
        for name, path in zip(self.ids, self._paths, strict=True):
            try:
                total.update(f"{name}\t{os.stat(path.item()).st_size}\n".encode())
            except OSError:
                total.update(f"{name}\tmissing\n".encode())
        return total.hexdigest()


class Rows:
    """Rows of a Hugging Face dataset with a column `audio`; they stay on disk."""

    def __init__(self, name: str):
        try:
            import datasets
        except ImportError as error:
            raise MissingPackageError("datasets", "data", f"the corpus hf:{name}") from error
        location, _, split = name.partition(":")
        split = split or "train"
        try:
            if (Path(location) / "dataset_dict.json").exists():
                rows = datasets.load_from_disk(location)[split]
            elif (Path(location) / "dataset_info.json").exists():
                rows = datasets.load_from_disk(location)
            else:
                rows = datasets.load_dataset(location, split=split)
        except Exception as error:  # the loader of a dataset may raise anything
            detail = " ".join(str(error).split())[:200]
            raise CorpusError(
                f"hf:{name} cannot be loaded ({type(error).__name__}: {detail}): expected a name "
                "on the Hub or a folder that save_to_disk wrote, as in hf:NAME or hf:NAME:SPLIT"
            ) from error
        if "audio" not in rows.column_names:
            raise CorpusError(
                f"hf:{name} has no column 'audio', only {', '.join(rows.column_names[:10])}"
            )
        self._rows = rows.cast_column("audio", datasets.Audio(decode=False))
        annotations = self._rows.remove_columns("audio")
        id_column = next(
            (column for column in ("id", "file") if column in annotations.column_names), None
        )
        speaker_column = next(
            (column for column in _SPEAKER if column in annotations.column_names), None
        )
        self.ids = [
            str(value) for value in (annotations[id_column] if id_column else range(len(rows)))
        ]
        self.speakers = (
            [str(value) for value in annotations[speaker_column]]
            if speaker_column
            else list(self.ids)
        )

    def column(self, *names: str) -> list | None:
        """The first existing column of these names; None if there is none."""
        name = next((name for name in names if name in self._rows.column_names), None)
        return None if name is None else list(self._rows[name])

    def open(self, number: int) -> str | io.BytesIO:
        audio = self._rows[int(number)]["audio"]
        return io.BytesIO(audio["bytes"]) if audio["bytes"] is not None else audio["path"]

    def signature(self) -> str:
        return self._rows._fingerprint


class Joined:
    """Several corpora as one, numbered consecutively.

    Attributes:
        parts: the corpora.
        starts: the number of the first recording of each.
    """

    def __init__(self, parts: Sequence[Sounds]):
        self.parts = list(parts)
        counts = [len(part.ids) for part in self.parts]
        self.starts = np.cumsum([0, *counts[:-1]])
        self.ids = [name for part in self.parts for name in part.ids]
        self.speakers = [name for part in self.parts for name in part.speakers]

    def open(self, number: int) -> str | io.BytesIO:
        part = self.part_of(number)
        return self.parts[part].open(int(number - self.starts[part]))

    def part_of(self, numbers: int | np.ndarray) -> int | np.ndarray:
        """The index of the corpus of each recording, by number."""
        return np.searchsorted(self.starts, numbers, side="right") - 1

    def signature(self) -> str:
        return " ".join(part.signature() for part in self.parts)


def load(source: str) -> Sounds:
    """The recordings of a corpus, by a path, a name, or hf:NAME[:SPLIT]. A name from a file
    (`names.Recorded`) is not downloaded."""
    if source.startswith("hf:"):
        if isinstance(source, Recorded):
            raise CorpusError(source.refusal("corpus", "which may lie on the Hub"))
        return Rows(source.removeprefix("hf:"))
    return Files([clip for clip in data.load(source) if clip.path is not None])


def load_all(settings: DataConfig) -> Joined:
    """The corpus of a recipe, followed by the additional ones."""
    return Joined([load(source) for source in settings.corpora])


def split_speakers(sounds: Joined, settings: DataConfig, seed: int) -> tuple[list[int], list[int]]:
    """Numbers of the recordings to train on and to validate on; no speaker is in both.

    Validation uses speakers of the first corpus, selected by the seed. With a separate corpus for
    validation, the second list is empty.

    Raises:
        RecipeError: a listed clip is not in the corpus, or one of the lists would be empty.
    """
    count = len(sounds.parts[0].ids)
    chosen, additional = list(range(count)), list(range(count, len(sounds.ids)))
    if settings.clips is not None:
        numbers = {name: number for number, name in enumerate(sounds.parts[0].ids)}
        if missing := [name for name in settings.clips if name not in numbers]:
            raise RecipeError(
                f"{len(missing)} of {len(settings.clips)} clips of the recipe are not in corpus "
                f"{settings.corpus}, {missing[0]!r} first: set data.corpus to one that has them, "
                "or data.clips=null to take all"
            )
        chosen = [numbers[name] for name in settings.clips]
    if settings.validation is not None:
        return [*chosen, *additional], []
    speakers = sorted({sounds.speakers[number] for number in chosen})
    shuffled = np.random.default_rng(seed).permutation(speakers)
    held_out = set(shuffled[: round(settings.validation_fraction * len(speakers))])
    train = [number for number in (*chosen, *additional) if sounds.speakers[number] not in held_out]
    validation = [number for number in chosen if sounds.speakers[number] in held_out]
    if not (remaining := len(chosen) - len(validation)) or not validation:
        raise RecipeError(
            f"{len(speakers)} speakers at data.validation_fraction "
            f"{settings.validation_fraction} leave {remaining} clips to train on and "
            f"{len(validation)} to validate on: expected at least one each"
        )
    return train, validation[: settings.validation_clips]
