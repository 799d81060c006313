"""Imports torchaudio; if it does not fit the installed torch, the error says what to install.

A torchaudio that was built for another torch fails on import (`undefined symbol`), and so does
transformers, which imports it. pip does not prevent this: torchaudio 2.11.1 declares that it works
with torch 2.11.0, and older releases declare nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from audiotok.errors import AudiotokError, DependencyError, MissingPackageError

FITTING = ("torch>=2.12", "torchaudio>=2.11.1")  # as in pyproject.toml


@cache
def version_of(package: str) -> str | None:
    """Version of an installed package, without importing it; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def torchaudio() -> ModuleType:
    """The module torchaudio.

    Raises:
        DependencyError: it is not installed, or does not work with the installed torch.
    """
    try:
        return importlib.import_module("torchaudio")
    except Exception as reason:  # incompatible libraries may raise anything
        raise DependencyError(_explained(reason)) from reason


def torchaudio_error() -> DependencyError | None:
    """The error that `torchaudio` raises; None if it works."""
    try:
        torchaudio()
    except DependencyError as error:
        return error
    return None


def transformers_error(extra: str, purpose: str) -> AudiotokError | None:
    """An error if transformers cannot be used for `purpose`, else None; `extra` installs it."""
    if sys.modules.get(name := "transformers") is None and importlib.util.find_spec(name) is None:
        return MissingPackageError("transformers", extra, purpose)
    return torchaudio_error() if version_of("torchaudio") else None  # it does without


def need_transformers(extra: str, purpose: str) -> None:
    """Raises the error of `transformers_error`, if any; to be called before the import."""
    if (error := transformers_error(extra, purpose)) is not None:
        raise error


def _explained(reason: Exception) -> str:
    torch = f"torch {version_of('torch')}"
    mend = f"pip install -U {' '.join(map(repr, FITTING))}"
    if isinstance(reason, ModuleNotFoundError) and reason.name == "torchaudio":
        return f"torchaudio is not installed, only {torch}: {mend}"
    text = " ".join(f"{type(reason).__name__}: {reason}".split())[:200]
    return (
        f"torchaudio {version_of('torchaudio')} does not work with {torch} ({text}); torch 2.12 "
        f"or newer with torchaudio 2.11.1 or newer works: {mend}"
    )
