"""What is encoded: clips of a corpus, or rows of a Hugging Face dataset, hf:NAME[:SPLIT]."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import soundfile

from audiotok import data
from audiotok.data import _ids
from audiotok.errors import CorpusError
from audiotok.sound import audio
from audiotok.system import names

if TYPE_CHECKING:
    from audiotok.training import sounds


@dataclass(frozen=True)
class Recording:
    """One clip of a source: enough to read it in another process.

    Attributes:
        id: unique in its source, and safe as the name of a file.
        where: path of the file, or number of the row.
        dataset: name of the Hugging Face dataset that `where` is a row of.
        text, speaker, label: what is said, by whom, what it is; None where not known.
    """

    id: str
    where: str | int
    dataset: str | None = None
    text: str | None = None
    speaker: str | None = None
    label: str | None = None

    def read(self) -> audio.Audio:
        """The sound; AudioError says what is wrong with it."""
        if self.dataset is None:
            return audio.read(self.where)
        file = _rows(self.dataset).open(self.where)
        if isinstance(file, str):
            return audio.read(file)
        with tempfile.NamedTemporaryFile(suffix=".sound") as copy:
            copy.write(file.getbuffer())
            copy.flush()
            return audio.read(copy.name)

    def seconds(self) -> float:
        """Duration as the header says it, 0 where there is none that can be read."""
        try:
            file = self.where if self.dataset is None else _rows(self.dataset).open(self.where)
            return max(0.0, soundfile.info(file).duration)
        except (soundfile.LibsndfileError, OSError, TypeError):
            return 0.0


@dataclass(frozen=True)
class Source:
    """Recordings in a fixed order.

    Attributes:
        sizes: bytes of each file, 0 where not known.
        sha256: of ids, texts, speakers, labels and sizes.
    """

    name: str
    recordings: Sequence[Recording]
    sizes: Sequence[int]
    sha256: str


def load(name: str | Path, limit: int | None = None) -> Source:
    """A source by what `audiotok.data.load` takes, or hf:NAME[:SPLIT].

    Args:
        limit: keep only the first clips.
    """
    if str(name).startswith("hf:"):
        found, title = _of_dataset(str(name)), str(name)
    else:
        corpus = data.load(name)
        title = corpus.name
        found = [
            Recording(c.id, str(c.path.absolute()), None, c.text, c.speaker, c.label)
            for c in corpus
            if c.path is not None
        ]
    if limit is not None:
        if limit < 1:
            raise CorpusError(f"a limit of {limit} clips leaves nothing: give 1 or more")
        found = found[:limit]
    if (same := names.twice(one.id for one in found)) is not None:
        raise CorpusError(f"{title} has two clips of the ids {same[0]} and {same[1]}: rename one")
    sizes = [_size(recording) for recording in found]
    digest = hashlib.sha256()
    for one, size in zip(found, sizes, strict=True):
        row = [one.id, one.text, one.speaker, one.label, size]
        digest.update(json.dumps(row).encode() + b"\n")
    return Source(title, found, sizes, digest.hexdigest())


@cache
def _rows(name: str) -> sounds.Rows:
    from audiotok.training import sounds

    return sounds.Rows(name.removeprefix("hf:"))


def _of_dataset(name: str) -> list[Recording]:
    rows = _rows(name)
    texts = rows.column("text", "transcription", "transcript", "sentence")
    speakers = rows.column("speaker", "speaker_id", "client_id")
    labels = rows.column("label")
    ids = _ids.derive(rows.ids)
    if names.twice(ids) is not None:
        ids = [str(number) for number in range(len(ids))]
    return [
        Recording(
            id, n, name, *(None if c is None else _text(c[n]) for c in (texts, speakers, labels))
        )
        for n, id in enumerate(ids)
    ]


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _size(recording: Recording) -> int:
    if recording.dataset is not None:
        return 0
    try:
        return os.stat(recording.where).st_size
    except OSError:
        return 0
