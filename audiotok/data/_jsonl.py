"""JSON lines, plain or gzipped: one object in each line, with strict values and bounded lines."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audiotok.errors import CorpusError

SUFFIXES = (".jsonl", ".json", ".jsonl.gz")
MAX_LENGTH = 2**24  # characters of a line


def is_jsonl(path: Path) -> bool:
    """Whether the name is that of JSON lines; NeMo's manifests of JSON lines end in .json."""
    return path.name.lower().endswith(SUFFIXES)


def objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of the line, object). NaN is read as null, a missing value.

    Raises CorpusError with the line that is not a JSON object.
    """
    open_file = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with open_file(path, "rt", encoding="utf-8-sig") as file:
            for line, text in enumerate(iter(lambda: file.readline(MAX_LENGTH), ""), start=1):
                if len(text) == MAX_LENGTH:
                    raise CorpusError(f"{path}, line {line} is longer than {MAX_LENGTH} characters")
                if text.strip():
                    yield line, _object(path, line, text)
    except UnicodeDecodeError as reason:
        raise CorpusError(f"{path} is not UTF-8 text: byte {reason.start} is not") from reason
    except (OSError, EOFError, zlib.error) as reason:
        detail = getattr(reason, "strerror", None) or reason
        raise CorpusError(f"{path} cannot be read: {detail}") from reason


def _object(path: Path, line: int, text: str) -> dict[str, Any]:
    try:
        cells = json.loads(text, parse_constant=_constant)
    except (ValueError, RecursionError) as reason:
        raise CorpusError(f"{path}, line {line} is not JSON: {reason}") from reason
    if not isinstance(cells, dict):
        raise CorpusError(f"{path}, line {line}: expected an object, not {text.strip()[:40]!r}")
    return cells


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"{name} is no number of JSON")


def cell(path: Path, line: int, column: str, value: Any) -> str:
    """A value as the text of a cell, "" for null; CorpusError if it is no string or number."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        shown = json.dumps(value)[:40]
        raise CorpusError(f"{path}, line {line}: {column} is {shown}, expected a string")
    text = str(value)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise CorpusError(
            f"{path}, line {line}: {column} has half of a surrogate pair, which is no character: "
            "correct the \\u escapes"
        )
    return text
