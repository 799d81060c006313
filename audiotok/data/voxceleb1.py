"""VoxCeleb1 (Nagrani et al. 2017): 153,516 utterances of 1,251 celebrities from videos, 16 kHz.

Put it into the data folder as `voxceleb1`: `wav/idXXXXX/VIDEO/NNNNN.wav` of both the development
and the test set, and the official lists `veri_test.txt` and `iden_split.txt`.

`voxceleb1/verification`: the trials of veri_test.txt (VoxCeleb1-O); its 40 speakers are the test.
`voxceleb1/identification`: the utterances of iden_split.txt; every speaker is in train and test.
"""

from __future__ import annotations

from pathlib import Path

from audiotok.data import Clip, Corpus, _ids, _place
from audiotok.errors import CorpusError

SOURCE = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html"
TRIALS, SPLITS = "veri_test.txt", "iden_split.txt"
NAMES = ("voxceleb1/identification", "voxceleb1/verification")


def load(name: str) -> Corpus:
    """All utterances of this task, in the order of their paths."""
    list_name = TRIALS if name.endswith("verification") else SPLITS
    folder = _place.folder("voxceleb1", ("wav", list_name), SOURCE)
    return (_verification if list_name == TRIALS else _identification)(name, folder)


def _verification(name: str, folder: Path) -> Corpus:
    rows = _rows(folder / TRIALS, {"0", "1"}, 3)
    trial_paths = {path for row in rows for path in row[1:]}
    speakers = {_speaker(path) for path in trial_paths}
    files = _place.sounds(folder / "wav", "*/*/*.wav")
    paths = {path.relative_to(folder / "wav").as_posix() for path in files}
    clips = _clips(
        folder,
        {path: "test" if _speaker(path) in speakers else "train" for path in paths | trial_paths},
    )
    trials = ((is_same == "1", clips[a].id, clips[b].id) for is_same, a, b in rows)
    return Corpus(name, tuple(clips.values()), trials=tuple(trials))


def _identification(name: str, folder: Path) -> Corpus:
    split_names = {"1": "train", "2": "validation", "3": "test"}
    rows = _rows(folder / SPLITS, set(split_names), 2)
    return Corpus(
        name, tuple(_clips(folder, {path: split_names[number] for number, path in rows}).values())
    )


def _clips(folder: Path, splits: dict[str, str]) -> dict[str, Clip]:
    """The clips of these paths in wav/, in order of paths."""
    paths = sorted(splits)
    return {
        path: Clip(
            clip_id,
            _place.existing(folder / "wav", path, folder),
            speaker=_speaker(path),
            split=splits[path],
        )
        for path, clip_id in zip(paths, _ids.derive(paths), strict=True)
    }


def _speaker(path: str) -> str:
    return path.partition("/")[0]


def _rows(path: Path, first_cells: set[str], count: int) -> list[list[str]]:
    """The lines of a list, split at spaces: one of `first_cells`, then paths."""
    rows = [line.split() for line in _place.lines(path)]
    for number, row in enumerate(rows, start=1):
        if len(row) != count or row[0] not in first_cells:
            raise CorpusError(
                f"{path}, line {number}: expected one of {', '.join(sorted(first_cells))} and "
                f"{count - 1} paths, not {' '.join(row)[:60]!r}"
            )
    return rows
