"""Suites and recipes by name; they are at the top level of a checkout, and inside the wheel."""

from __future__ import annotations

import difflib
from pathlib import Path

from audiotok.errors import AudiotokError

_PACKAGE = Path(__file__).resolve().parents[1]


def names(kind: str) -> list[str]:
    """The names of shipped suites or recipes: `kind` is "benchmarks" or "recipes"."""
    return sorted(path.stem for path in folder(kind).glob("*.yaml"))


def find(kind: str, name: str | Path, error: type[AudiotokError]) -> Path:
    """The YAML file of that name; a path of an existing file has priority."""
    if Path(name).is_file():
        return Path(name)
    available = names(kind)
    if str(name) in available:
        return folder(kind) / f"{name}.yaml"
    close = difflib.get_close_matches(Path(name).stem, available, n=1)
    hint = f"did you mean {close[0]}?" if close else f"available: {', '.join(available)}"
    raise error(f"{name} is neither a file nor one of the {kind} that ship: {hint}")


def folder(kind: str) -> Path:
    """The folder of shipped files of this kind: in the package, else in the checkout."""
    inside = _PACKAGE / kind
    return inside if inside.is_dir() else _PACKAGE.parent / kind
