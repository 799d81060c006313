"""Clip ids derived from relative paths; safe as file names on every system."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter

from audiotok.system import names


def derive(paths: list[str]) -> list[str]:
    """One id for each relative path: 'a/b.wav' -> 'a__b'. Letters of all scripts are kept.

    If characters were removed, or two paths would share an id (also if they differ only by case or
    Unicode normalisation), the path's hash is appended. Ids are equal only for equal paths.
    """
    counts = Counter(names.key(_cleaned(path)) for path in set(paths))
    for digits in (8, 16, 64):  # more than 8 only if a name looks like the hash of another path
        ids = {path: _id(path, counts, digits) for path in set(paths)}
        if names.twice(ids.values()) is None:
            break
    return [ids[path] for path in paths]


def _id(path: str, counts: Counter[str], digits: int) -> str:
    name = _cleaned(path)
    unchanged = name == unicodedata.normalize("NFC", _stem(path)) and names.problem(name) is None
    if unchanged and counts[names.key(name)] == 1:
        return name
    name = names.cleaned(_stem(path), "_", digits + 1) or "clip"
    return f"{name}-{names.digest(path, digits)}"


def _cleaned(path: str) -> str:
    return names.cleaned(_stem(path), "_", 0)


def _stem(path: str) -> str:
    """The path without extension, its folders joined by two underscores."""
    return os.path.splitext(path)[0].replace(os.sep, "/").replace("/", "__")
