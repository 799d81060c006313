"""ESC-50 (Piczak 2015, CC BY-NC 3.0): 2,000 environmental sounds of 5 s in 50 classes, 44.1 kHz.

Get it from github.com/karolpiczak/ESC-50 and put it into the data folder as `esc50`. Its five folds
are for cross-validation: `esc50/3` tests on fold 3 and trains on the other four; published figures
are the mean over all five.
"""

from __future__ import annotations

from pathlib import Path

from audiotok.data import Clip, Corpus, _ids, _place

SOURCE = "https://github.com/karolpiczak/ESC-50"
TABLE = "meta/esc50.csv"
NAMES = tuple(f"esc50/{fold}" for fold in range(1, 6))


def load(name: str) -> Corpus:
    """The corpus in the folder of corpora, see `read`."""
    folder = _place.folder("esc50", ("audio", TABLE), SOURCE)
    return read(folder, name, name.removeprefix("esc50/"))


def of_folder(folder: Path, name: str) -> Corpus | None:
    """The corpus of a folder in this layout, which tests on fold 1; None for any other folder."""
    return read(folder, name, "1") if (folder / TABLE).is_file() else None


def read(folder: Path, name: str, test: str) -> Corpus:
    """All sounds, in the order of their table; label is the category, session the recording on
    Freesound that a clip was cut from."""
    rows = _place.table(folder / TABLE, ("filename", "fold", "category"))
    ids = _ids.derive([row["filename"] for row in rows])
    clips = (
        Clip(
            clip_id,
            _place.existing(folder / "audio", row["filename"], folder),
            label=row["category"],
            session=row.get("src_file"),
            domain="audio",
            split="test" if row["fold"] == test else "train",
        )
        for clip_id, row in zip(ids, rows, strict=True)
    )
    return Corpus(name, tuple(clips), licence="CC BY-NC 3.0")
