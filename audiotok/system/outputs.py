"""Checks of output paths: inputs are never overwritten, other files only on request."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from audiotok.errors import AudiotokError
from audiotok.system.files import make_folder

FILES = (".atok", ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".safetensors")


def check(outputs: Sequence[Path], inputs: Iterable[str | Path], overwrite: bool = False) -> None:
    """Raises AudiotokError if writing these files would destroy others.

    Files are compared by device and inode, so links and different spellings of a path are detected.

    Args:
        outputs: files that will be written.
        inputs: files that are read; they are never written, even with `overwrite`.
        overwrite: whether files that exist may be replaced.
    """
    sources = {identity: path for path in inputs if (identity := _identity(path))}
    targets: dict[str, Path] = {}
    for output in outputs:
        if (source := sources.get(_identity(output))) is not None:
            raise AudiotokError(
                f"the output {output} is the input {source}: name another output, the input is "
                "never overwritten"
            )
        other = targets.setdefault(os.path.realpath(output), output)
        if other is not output:
            raise AudiotokError(f"{other} and {output} are one file: name different outputs")
        if os.path.exists(output) and not os.path.isfile(output):
            raise AudiotokError(f"cannot write {output}: it exists and is not a regular file")
    existing = [output for output in outputs if os.path.lexists(output)]
    if existing and not overwrite:
        many = f" ({len(existing)} of {len(outputs)} outputs do)" if len(outputs) > 1 else ""
        raise AudiotokError(
            f"{existing[0]} exists already{many}: name another output, or give --overwrite"
        )


def prepare(output: Path, overwrite: bool = False) -> None:
    """Creates the folder of `output`, and raises AudiotokError if the file was created since
    `check`; to be called just before writing."""
    make_folder(output.parent)
    check([output], [], overwrite)


def is_folder(out: str | Path) -> bool:
    """Whether `out` is a folder: an existing one, or any path with a slash at its end."""
    return os.path.isdir(out) or str(out).endswith(("/", os.sep))


def folder(out: str | Path, what: str) -> Path:
    """The path `out` as a folder; AudiotokError if it is a file or looks like one.

    Args:
        what: the content of the folder for the message, e.g. "several clips".
    """
    path = Path(out)
    if path.is_file():
        raise AudiotokError(f"{out} is a file, expected a folder for {what}: name one")
    if path.suffix.lower() in FILES and not is_folder(out):
        raise AudiotokError(f"{out} names a file, expected a folder for {what}, e.g. {out}/")
    return path


def _identity(path: str | Path) -> tuple[int, int] | None:
    """Device and inode; None if the file does not exist or is not accessible."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
