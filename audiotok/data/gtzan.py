"""GTZAN (Tzanetakis and Cook 2002): 1,000 excerpts of 30 s in ten genres, 22.05 kHz.

Put into the data folder as `gtzan`, its WAV files in genres/<genre>/ or genres_original/<genre>/.
jazz.00054 is left out: in the copies in circulation as WAV it cannot be read. There is no official
split, artists and even recordings repeat (Sturm 2013, arXiv 1306.1461), so that accuracies on a
random split are too high; a manifest with a column `split` sets another one.
"""

from __future__ import annotations

from audiotok.data import Clip, Corpus, _download, _ids, _place

SOURCE = "http://marsyas.info/downloads/datasets.html or a copy of it"
FOLDERS = ("genres", "genres_original")
BROKEN = "jazz.00054"
NAMES = ("gtzan",)


def load(name: str) -> Corpus:
    """All excerpts but the broken one; label is the genre. Its licence is not known."""
    place = _download.place("gtzan")
    inner = next((inner for inner in FOLDERS if (place / inner).is_dir()), FOLDERS[0])
    genres = _place.folder("gtzan", (inner,), SOURCE) / inner
    files = [path for path in _place.sounds(genres, "*/*.wav") if path.stem != BROKEN]
    ids = _ids.derive([path.name for path in files])
    clips = (Clip(i, file, label=file.parent.name) for i, file in zip(ids, files, strict=True))
    return Corpus(name, tuple(clips))
