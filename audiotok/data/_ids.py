"""Clip ids: from relative paths, or given; always safe as names of files on every system."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter

MAX_LENGTH = 120
SAFE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_LENGTH - 1}}}")


def derive(paths: list[str]) -> list[str]:
    """One id for each relative path: 'a/b.wav' -> 'a__b'.

    Where characters had to go, or two paths would share an id (also if only by case), the path's
    hash is appended. Equal paths get equal ids.
    """
    plain = [_plain(path) for path in paths]
    claims = Counter(
        name.lower() for _, name in {(p, n) for p, n in zip(paths, plain, strict=True)}
    )
    return [
        name if _faithful(path, name) and claims[name.lower()] == 1 else _hashed(path, name)
        for path, name in zip(paths, plain, strict=True)
    ]


def _plain(path: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", _stem(path)).lstrip("._-")


def _faithful(path: str, name: str) -> bool:
    return _stem(path) == name and SAFE.fullmatch(name) is not None


def _stem(path: str) -> str:
    """Without extension, folders joined by two underscores."""
    return os.path.splitext(path)[0].replace(os.sep, "/").replace("/", "__")


def _hashed(path: str, name: str) -> str:
    digest = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{name[: MAX_LENGTH - 9] or 'clip'}-{digest}"
