"""Corpora that the user puts into the cache folder: their folder there, and their lists."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from audiotok.data import _download
from audiotok.errors import CorpusError
from audiotok.system import names


def folder(name: str, wanted: Sequence[str], source: str) -> Path:
    """The folder `name` in the cache folder (or a link there), which has the entries `wanted`.

    Args:
        wanted: what must lie in it: names of files and folders.
        source: where the corpus is to be had, for the message.
    """
    place = _download.cache_folder() / name
    if missing := [entry for entry in wanted if not (place / entry).exists()]:
        raise CorpusError(
            f"{place} has no {' and no '.join(missing)}: get it from {source}, and unpack or link "
            f"it so that {', '.join(wanted)} lie in that folder"
        )
    return place


def lines(path: Path) -> list[str]:
    """The lines of a text file that are not empty."""
    try:
        return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as reason:
        raise CorpusError(f"{path} cannot be read as UTF-8 text: {reason}") from reason


def table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file which has these columns."""
    rows = list(csv.DictReader(lines(path)))
    if not rows or any(row.get(column) is None for row in rows for column in columns):
        raise CorpusError(f"{path} is no table with the columns {', '.join(columns)}")
    return rows


def sounds(root: Path, pattern: str) -> list[Path]:
    """The files below `root` that match, sorted; at least one."""
    found = sorted(path for path in root.glob(pattern) if not path.name.startswith("."))
    if not found:
        raise CorpusError(f"{root} holds no {pattern}")
    return found


def existing(folder: Path, value: str, corpus: Path) -> Path:
    """The file below `folder` that a list of this corpus names."""
    try:
        path = names.inside(folder, value)
    except ValueError as reason:
        raise CorpusError(f"the lists of {corpus} name {value!r:.200}, which {reason}") from None
    if not path.is_file():
        raise CorpusError(f"the lists of {corpus} name {path}, which is not a file")
    return path
