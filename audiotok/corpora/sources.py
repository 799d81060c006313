"""Sources to encode: clips of a corpus, or rows of a Hugging Face dataset, hf:NAME[:SPLIT]."""

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
from audiotok.data import _ids, _segments
from audiotok.errors import AudioError, CorpusError
from audiotok.sound import audio
from audiotok.sound.containers import truncation_allowed
from audiotok.system import names

if TYPE_CHECKING:
    from audiotok.training import sounds


@dataclass(frozen=True)
class Recording:
    """One clip of a source, with the data to read it in another process.

    Attributes:
        id: unique in its source, and safe as the name of a file.
        location: path of the file, or number of the row.
        dataset: name of the Hugging Face dataset that `location` is a row of.
        text, speaker, label: transcript, speaker and class; None if unknown.
        offset, duration: of the clip in the file, seconds; None: to the end of the file.
    """

    id: str
    location: str | int
    dataset: str | None = None
    text: str | None = None
    speaker: str | None = None
    label: str | None = None
    offset: float = 0.0
    duration: float | None = None

    @property
    def segment(self) -> _segments.Segment:
        return self.offset, self.duration

    def read(self) -> audio.Audio:
        """The sound; AudioError if it cannot be read."""
        if self.dataset is None:
            return _segments.cut(audio.read(self.location), self.segment, str(self.location))
        file = _rows(self.dataset).open(self.location)
        if isinstance(file, str):
            return audio.read(file)
        with tempfile.NamedTemporaryFile(suffix=".sound") as copy:
            copy.write(file.getbuffer())
            copy.flush()
            return audio.read(copy.name)

    def seconds(self) -> float:
        """Duration; 0 if it cannot be read."""
        try:
            seconds = max(0.0, self._whole() - self.offset)
            return max(0.0, seconds if self.duration is None else self.duration)
        except (AudioError, soundfile.LibsndfileError, OSError, TypeError, ValueError):
            return 0.0

    def _whole(self) -> float:
        """Seconds of the whole file."""
        if self.dataset is None:
            return _seconds(audio.AudioFile(self.location))
        file = _rows(self.dataset).open(self.location)
        if isinstance(file, str):
            return _seconds(audio.AudioFile(file))
        return soundfile.info(file).duration


@dataclass(frozen=True)
class Source:
    """Recordings in a fixed order.

    Attributes:
        sizes: bytes of each file, 0 if unknown.
        sha256: of ids, texts, speakers, labels, and of sizes and modification times of the files,
            or of the signature of the dataset; not of the sound itself.
    """

    name: str
    recordings: Sequence[Recording]
    sizes: Sequence[int]
    sha256: str


def load(source: str | Path, limit: int | None = None) -> Source:
    """The source of a name or path as for `audiotok.data.load`, or hf:NAME[:SPLIT].

    Args:
        limit: keep only the first clips.
    """
    signature = None
    if str(source).startswith("hf:"):
        title = str(source)
        recordings, signature = _of_dataset(title), _rows(title).signature()
    else:
        corpus = data.load(source)
        title = corpus.name
        recordings = [
            Recording(
                clip.id,
                str(clip.path.absolute()),
                text=clip.text,
                speaker=clip.speaker,
                label=clip.label,
                offset=clip.offset,
                duration=clip.duration,
            )
            for clip in corpus
            if clip.path is not None
        ]
    if limit is not None:
        if limit < 1:
            raise CorpusError(f"the limit is {limit} clips: expected 1 or more")
        recordings = recordings[:limit]
    if (duplicates := names.twice(recording.id for recording in recordings)) is not None:
        raise CorpusError(
            f"{title} has two clips of the ids {duplicates[0]} and {duplicates[1]}: rename one"
        )
    states = [_state(recording) for recording in recordings]
    digest = hashlib.sha256(json.dumps(signature).encode())
    for recording, state in zip(recordings, states, strict=True):
        row = [recording.id, recording.text, recording.speaker, recording.label, *state]
        row += [] if recording.segment == (0.0, None) else recording.segment
        digest.update(json.dumps(row).encode() + b"\n")
    if truncation_allowed():
        digest.update(b"files that are cut short are read")
    return Source(title, recordings, [size for size, _ in states], digest.hexdigest())


def _seconds(file: audio.AudioFile) -> float:
    return file.num_samples / file.sample_rate


@cache
def _rows(name: str) -> sounds.Rows:
    from audiotok.training import sounds

    return sounds.Rows(name.removeprefix("hf:"))


def _of_dataset(name: str) -> list[Recording]:
    rows = _rows(name)
    columns = (
        rows.column("text", "transcription", "transcript", "sentence"),
        rows.column("speaker", "speaker_id", "client_id"),
        rows.column("label"),
    )
    ids = _ids.derive(rows.ids)
    if names.twice(ids) is not None:
        ids = [str(number) for number in range(len(ids))]
    return [
        Recording(clip_id, number, name, *(c and _text(c[number]) for c in columns))
        for number, clip_id in enumerate(ids)
    ]


def _text(value: Any) -> str | None:
    return None if value is None or value != value else str(value)  # NaN: missing


def _state(recording: Recording) -> tuple[int, int]:
    """Size of the file in bytes, and its modification time in ns; 0 if unknown."""
    if recording.dataset is not None:
        return 0, 0
    try:
        status = os.stat(recording.location)
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
