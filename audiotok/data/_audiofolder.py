"""An AudioFolder of Hugging Face: metadata.csv or metadata.jsonl with a column `file_name`.

The file is in the folder itself or in subfolders; `train`, `validation` and `test` are splits.
`transcription`, `sentence`, `speaker_id` and similar columns are read as text and speaker.
"""

from __future__ import annotations

import csv
from pathlib import Path

from audiotok.data import Corpus, _jsonl, _manifest
from audiotok.errors import CorpusError

FILES = ("metadata.csv", "metadata.jsonl")
SYNONYMS = {
    "text": ("text", "transcription", "transcript", "sentence", "normalized_text"),
    "speaker": ("speaker", "speaker_id", "client_id", "spk_id"),
    "label": ("label",),
    "language": ("language", "lang", "locale"),
}
SPLITS = {"train": "train", "validation": "validation", "valid": "validation", "dev": "validation"}
SPLITS |= {"val": "validation", "test": "test"}


def of_folder(folder: Path, name: str) -> Corpus | None:
    """The corpus of a folder whose metadata have `file_name`; None for any other folder."""
    files = sorted(path for file in FILES for path in folder.rglob(file) if path.is_file())
    files = [path for path in files if _has_file_names(path)]
    if not files:
        return None
    for first, second in zip(files, files[1:], strict=False):
        if first.parent == second.parent:
            raise CorpusError(f"{first} and {second.name} are in one folder: remove one of them")
    rows: list[_manifest.Row] = []
    for path in files:
        subfolder = path.parent.relative_to(folder)
        split = SPLITS.get(subfolder.parts[0].lower()) if subfolder.parts else None
        for line, cells in _manifest.rows(path, SYNONYMS | {"audio": ("file_name",)}):
            if "audio" in cells and not Path(cells["audio"]).is_absolute():
                cells["audio"] = (subfolder / cells["audio"]).as_posix()
            rows.append((line, ({"split": split} if split else {}) | cells))
    return _manifest.of_rows(folder / files[0].name, rows, name)


def _has_file_names(path: Path) -> bool:
    """Whether a file has the column `file_name`; metadata.csv of LJSpeech does not."""
    if path.suffix == ".jsonl":
        first = next(iter(_jsonl.objects(path)), (0, {}))
        return "file_name" in first[1]
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return "file_name" in next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return False
