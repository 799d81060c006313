"""Corpora that the user installs into the folder of corpora: their folders and lists."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from audiotok.data import _download
from audiotok.errors import CorpusError
from audiotok.system import names


def folder(name: str, required: Sequence[str], source: str) -> Path:
    """The folder `name` in the folder of corpora (or a link there).

    Args:
        required: names of files and folders that it must contain.
        source: where to get the corpus, for the message.

    Raises:
        CorpusError: an entry is missing.
    """
    path = _download.place(name)
    if missing := [entry for entry in required if not (path / entry).exists()]:
        raise CorpusError(
            f"{path} has no {' and no '.join(missing)}: get it from {source}, and unpack or link "
            f"it so that the folder contains {', '.join(required)}"
        )
    return path


def lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty."""
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as reason:
        raise CorpusError(f"{path} cannot be read as UTF-8 text: {reason}") from reason


def table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file with these columns."""
    rows = list(csv.DictReader(lines(path)))
    if not rows or any(row.get(column) is None for row in rows for column in columns):
        raise CorpusError(f"{path} is no table with the columns {', '.join(columns)}")
    return rows


def sounds(root: Path, pattern: str) -> list[Path]:
    """The files in `root` that match, sorted; CorpusError if there are none."""
    files = sorted(path for path in root.glob(pattern) if not path.name.startswith("."))
    if not files:
        raise CorpusError(f"{root} holds no {pattern}")
    return files


def existing(folder: Path, value: str, corpus: Path) -> Path:
    """The path of a file in `folder` that a list of this corpus names; it must exist."""
    try:
        path = names.inside(folder, value)
    except ValueError as reason:
        raise CorpusError(f"the lists of {corpus} name {value!r:.200}, which {reason}") from None
    if not path.is_file():
        raise CorpusError(f"the lists of {corpus} name {path}, which is not a file")
    return path
