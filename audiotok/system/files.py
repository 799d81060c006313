"""Writing a file so that it is either the old one or the whole new one, never a part."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from audiotok.errors import AudiotokError

_TEMPORARY = re.compile(r"\.audiotok-[0-9a-f]{16}\.tmp")


def temporary_path(folder: Path) -> Path:
    """A new name for a file that is being written in `folder`."""
    return folder / f".audiotok-{secrets.token_hex(8)}.tmp"


def temporaries(folder: Path) -> list[Path]:
    """The temporary files in `folder` that a killed process left; no other files."""
    return [path for path in folder.glob(".*.tmp") if _TEMPORARY.fullmatch(path.name)]


def make_folder(path: Path) -> None:
    """Makes a folder with those above it; AudiotokError where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise AudiotokError(
            f"cannot make the folder {path}: {reason.strerror or reason}; name another place"
        ) from reason


@contextmanager
def replacing(path: str | Path, error: type[AudiotokError]) -> Iterator[BinaryIO]:
    """A binary file which takes the place of `path` when the block ends without an exception.

    Args:
        path: where the file shall be; a symbolic link keeps pointing to it.
        error: what to raise when it cannot be written.
    """
    target = Path(os.path.realpath(path))
    if os.path.exists(target) and not os.path.isfile(target):
        raise error(f"cannot write {path}: it exists and is not a regular file; name another")
    temporary = temporary_path(target.parent)
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as reason:
        raise error(
            f"cannot write {path}: {reason.strerror or reason}; choose a place that can be written"
        ) from reason
    finally:
        with suppress(OSError):
            temporary.unlink()
