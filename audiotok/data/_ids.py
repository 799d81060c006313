"""Clip ids: from relative paths; always safe as names of files on every system."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter

from audiotok.system import names


def derive(paths: list[str]) -> list[str]:
    """One id for each relative path: 'a/b.wav' -> 'a__b'. Letters of all scripts stay.

    Where characters had to go, or two paths would share an id (also if only by case or by Unicode
    normalisation), the path's hash is appended. Equal paths get equal ids, others never.
    """
    claims = Counter(names.key(_plain(path)) for path in set(paths))
    for digits in (8, 16, 64):  # 8 are enough, but for a name that looks like another's hash
        ids = {path: _id(path, claims, digits) for path in set(paths)}
        if names.twice(ids.values()) is None:
            break
    return [ids[path] for path in paths]


def _id(path: str, claims: Counter[str], digits: int) -> str:
    name = _plain(path)
    faithful = name == unicodedata.normalize("NFC", _stem(path)) and names.problem(name) is None
    if faithful and claims[names.key(name)] == 1:
        return name
    name = names.cleaned(_stem(path), "_", digits + 1) or "clip"
    return f"{name}-{names.digest(path, digits)}"


def _plain(path: str) -> str:
    return names.cleaned(_stem(path), "_", 0)


def _stem(path: str) -> str:
    """Without extension, folders joined by two underscores."""
    return os.path.splitext(path)[0].replace(os.sep, "/").replace("/", "__")
