"""FSD50K (Fonseca et al. 2020): 51,197 sounds of Freesound in 200 classes of AudioSet, 44.1 kHz.

Put it into the data folder as `fsd50k`, with the folders of zenodo.org/records/4060432 in it:
FSD50K.eval_audio, FSD50K.dev_audio and FSD50K.ground_truth. `fsd50k/eval` has the test sounds,
`fsd50k/dev` those to train on and to validate. The label is the first of the classes of a sound.
"""

from __future__ import annotations

from pathlib import Path

from audiotok.data import Clip, Corpus, _ids, _place

SOURCE = "https://zenodo.org/records/4060432"
NAMES = ("fsd50k/dev", "fsd50k/eval")
PARTS = ("dev", "eval")
SPLITS = {"train": "train", "val": "validation"}


def load(name: str) -> Corpus:
    """The sounds of one part in the folder of corpora, see `read`."""
    part = name.removeprefix("fsd50k/")
    return read(_place.folder("fsd50k", _entries(part), SOURCE), name, (part,))


def of_folder(folder: Path, name: str) -> Corpus | None:
    """The corpus of a folder in this layout, with the parts that it has; None for any other."""
    parts = tuple(
        part for part in PARTS if all((folder / entry).exists() for entry in _entries(part))
    )
    return read(folder, name, parts) if parts else None


def read(folder: Path, name: str, parts: tuple[str, ...]) -> Corpus:
    """The sounds of these parts, in the order of their tables."""
    clips: list[Clip] = []
    for part in parts:
        audio, table = (folder / entry for entry in _entries(part))
        rows = _place.table(table, ("fname", "labels"))
        ids = _ids.derive([f"{row['fname']}.wav" for row in rows])
        clips += (
            Clip(
                clip_id,
                _place.existing(audio, f"{row['fname']}.wav", folder),
                label=row["labels"].partition(",")[0],
                domain="audio",
                split=SPLITS.get(row.get("split"), "train") if part == "dev" else "test",
            )
            for clip_id, row in zip(ids, rows, strict=True)
        )
    return Corpus(name, tuple(clips), licence="Creative Commons, which one differs by sound")


def _entries(part: str) -> tuple[str, str]:
    """The folder of the sounds and their table."""
    return f"FSD50K.{part}_audio", f"FSD50K.ground_truth/{part}.csv"
