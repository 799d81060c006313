"""GTZAN (Tzanetakis and Cook 2002): 1,000 excerpts of 30 s in ten genres, 22.05 kHz.

Put it into the data folder as `gtzan`, with its WAV files in genres/<genre>/ or
genres_original/<genre>/. jazz.00054 is skipped, because it is damaged in the available WAV copies.
There is no official split, and artists and even recordings repeat (Sturm 2013, arXiv 1306.1461), so
accuracies on a random split are too high; use a manifest with a column `split` for another split.
"""

from __future__ import annotations

from audiotok.data import Clip, Corpus, _download, _ids, _place

SOURCE = "http://marsyas.info/downloads/datasets.html or a copy of it"
FOLDERS = ("genres", "genres_original")
BROKEN = "jazz.00054"
NAMES = ("gtzan",)


def load(name: str) -> Corpus:
    """All excerpts except the damaged one; label is the genre. The licence is unknown."""
    place = _download.place("gtzan")
    inner = next((inner for inner in FOLDERS if (place / inner).is_dir()), FOLDERS[0])
    genres = _place.folder("gtzan", (inner,), SOURCE) / inner
    files = [path for path in _place.sounds(genres, "*/*.wav") if path.stem != BROKEN]
    ids = _ids.derive([path.name for path in files])
    clips = (Clip(i, file, label=file.parent.name) for i, file in zip(ids, files, strict=True))
    return Corpus(name, tuple(clips))
