"""MUSDB18-HQ (Rafii et al. 2019): 150 songs in stereo, 44.1 kHz; 100 to train on, 50 to test.

Put it into the data folder as `musdb`, with the folders `train` and `test` of
zenodo.org/records/3338373, one folder per song. `musdb/test` has the mixtures of the test songs:
one excerpt of 30 s of each, from 30 s on (songs that are too short: their last 30 s), so that a
corpus has half an hour and not ten hours.
"""

from __future__ import annotations

from pathlib import Path

import soundfile

from audiotok.data import Clip, Corpus, _ids, _place
from audiotok.errors import CorpusError

SOURCE = "https://zenodo.org/records/3338373"
NAMES = ("musdb/test", "musdb/train")
PARTS = ("test", "train")
START, LENGTH = 30.0, 30.0  # seconds
MIXTURE = "mixture.wav"


def load(name: str) -> Corpus:
    """The songs of one part in the folder of corpora, see `read`."""
    part = name.removeprefix("musdb/")
    return read(_place.folder("musdb", (part,), SOURCE), name, (part,))


def of_folder(folder: Path, name: str) -> Corpus | None:
    """The corpus of a folder with `test` or `train` of this layout, or of one of the two; None for
    any other folder."""
    parts = tuple(part for part in PARTS if any((folder / part).glob(f"*/{MIXTURE}")))
    if parts:
        return read(folder, name, parts)
    if folder.name in PARTS and any(folder.glob(f"*/{MIXTURE}")):
        return read(folder.parent, name, (folder.name,))
    return None


def read(folder: Path, name: str, parts: tuple[str, ...]) -> Corpus:
    """Excerpts of the mixtures of these parts, in the order of their names; session is the song."""
    files = [
        (part, file) for part in parts for file in _place.sounds(folder / part, f"*/{MIXTURE}")
    ]
    ids = _ids.derive([f"{file.parent.name}.wav" for _, file in files])
    clips = (
        Clip(
            clip_id, file, session=file.parent.name, domain="music", split=part,
            offset=(start := _start(file)), duration=min(LENGTH, _seconds(file) - start),
        )
        for clip_id, (part, file) in zip(ids, files, strict=True)
    )  # fmt: skip
    return Corpus(name, tuple(clips), licence="for education only, see its site")


def _start(file: Path) -> float:
    return max(0.0, min(START, _seconds(file) - LENGTH))


def _seconds(file: Path) -> float:
    try:
        return soundfile.info(file).duration
    except (OSError, soundfile.LibsndfileError) as reason:
        raise CorpusError(f"{file} cannot be read: {reason}") from reason
