"""GTZAN (Tzanetakis and Cook 2002): 1,000 excerpts of 30 s in ten genres, 22.05 kHz.

Put it into the data folder as `gtzan`, with its WAV files in genres/<genre>/ or
genres_original/<genre>/. jazz.00054 is skipped, because it is damaged in the available WAV copies.
There is no official split, and artists and even recordings repeat (Sturm 2013, arXiv 1306.1461), so
accuracies on a random split are too high; use a manifest with a column `split` for another split.
"""

from __future__ import annotations

from pathlib import Path

from audiotok.data import Clip, Corpus, _download, _ids, _place

SOURCE = "http://marsyas.info/downloads/datasets.html or a copy of it"
FOLDERS = ("genres", "genres_original")
GENRES = ("blues", "classical", "jazz")  # these three of the ten identify the layout
BROKEN = "jazz.00054"
NAMES = ("gtzan",)


def load(name: str) -> Corpus:
    """The corpus in the folder of corpora, see `read`."""
    folder = _download.place("gtzan")
    _place.folder("gtzan", (_genres(folder) or FOLDERS[0],), SOURCE)
    return read(folder, name)


def of_folder(folder: Path, name: str) -> Corpus | None:
    """The corpus of a folder in this layout; None for any other folder."""
    genres = _genres(folder)
    has_layout = genres and all((folder / genres / genre).is_dir() for genre in GENRES)
    return read(folder, name) if has_layout else None


def read(folder: Path, name: str) -> Corpus:
    """All excerpts except the damaged one; label is the genre. The licence is unknown."""
    files = _place.sounds(folder / _genres(folder), "*/*.wav")
    files = [path for path in files if path.stem != BROKEN]
    ids = _ids.derive([path.name for path in files])
    clips = (
        Clip(clip_id, file, label=file.parent.name, domain="music")
        for clip_id, file in zip(ids, files, strict=True)
    )
    return Corpus(name, tuple(clips))


def _genres(folder: Path) -> str | None:
    return next((inner for inner in FOLDERS if (folder / inner).is_dir()), None)
