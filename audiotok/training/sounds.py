"""The recordings a run may read: files of a corpus, or rows of a Hugging Face dataset."""

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
    speakers: Sequence[str]  # a recording without one is a speaker of its own

    def open(self, number: int) -> str | io.BytesIO:
        """What soundfile reads."""

    def signature(self) -> str:
        """Changes when the recordings do."""


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
        """Of ids and sizes. Times of files are left out: a copy or another mount changes them."""
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
        where, _, split = name.partition(":")
        split = split or "train"
        try:
            if (Path(where) / "dataset_dict.json").exists():
                rows = datasets.load_from_disk(where)[split]
            elif (Path(where) / "dataset_info.json").exists():
                rows = datasets.load_from_disk(where)
            else:
                rows = datasets.load_dataset(where, split=split)
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
        plain = self._rows.remove_columns("audio")
        named = next((c for c in ("id", "file") if c in plain.column_names), None)
        spoken = next((c for c in _SPEAKER if c in plain.column_names), None)
        self.ids = [str(i) for i in (plain[named] if named else range(len(rows)))]
        self.speakers = [str(s) for s in plain[spoken]] if spoken else list(self.ids)

    def column(self, *names: str) -> list | None:
        """The first column of these names, where there is one."""
        name = next((name for name in names if name in self._rows.column_names), None)
        return None if name is None else list(self._rows[name])

    def open(self, number: int) -> str | io.BytesIO:
        audio = self._rows[int(number)]["audio"]
        return io.BytesIO(audio["bytes"]) if audio["bytes"] is not None else audio["path"]

    def signature(self) -> str:
        return self._rows._fingerprint


class Joined:
    """Several corpora as one, numbered one after another.

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
        """Which of the corpora recordings belong to, by their numbers."""
        return np.searchsorted(self.starts, numbers, side="right") - 1

    def signature(self) -> str:
        return " ".join(part.signature() for part in self.parts)


def load(source: str) -> Sounds:
    """The recordings of a corpus, by a path, a name, or hf:NAME[:SPLIT]. One that a file names
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

    Validation takes speakers of the first corpus; which ones depends on the seed alone. With a
    corpus of its own for validation, all are trained on and the second list is empty.

    Raises:
        RecipeError: a listed clip is not in the corpus, or one side would be empty.
    """
    own = len(sounds.parts[0].ids)
    chosen, more = list(range(own)), list(range(own, len(sounds.ids)))
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
        return [*chosen, *more], []
    speakers = sorted({sounds.speakers[number] for number in chosen})
    shuffled = np.random.default_rng(seed).permutation(speakers)
    held_out = set(shuffled[: round(settings.validation_fraction * len(speakers))])
    train = [n for n in (*chosen, *more) if sounds.speakers[n] not in held_out]
    validation = [n for n in chosen if sounds.speakers[n] in held_out]
    if not (left := len(chosen) - len(validation)) or not validation:
        raise RecipeError(
            f"{len(speakers)} speakers at data.validation_fraction "
            f"{settings.validation_fraction} leave {left} clips to train on and "
            f"{len(validation)} to validate on: expected at least one each"
        )
    return train, validation[: settings.validation_clips]
