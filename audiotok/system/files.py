"""Safe reading and writing of files: only regular files are opened, and a written file is always
either the old one or the complete new one.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from audiotok.errors import AudiotokError


def cache_root() -> Path:
    """The user's cache folder; without a home folder (an unknown user in a container), a private
    folder in the temporary directory.

    Raises:
        AudiotokError: this private folder belongs to another user.
    """
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        root = Path(tempfile.gettempdir()) / f"audiotok-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    if root.lstat().st_uid != os.getuid():
        raise AudiotokError(f"{root} belongs to another user: set HOME or AUDIOTOK_HOME")
    return root


def user_folder() -> Path:
    """The folder of the weights that the user put on this machine by hand."""
    return Path(os.environ.get("AUDIOTOK_HOME") or cache_root() / "audiotok")


def readable(text: str) -> str:
    """Text that can be encoded in UTF-8: lone surrogates, which represent bytes of a file name that
    are no UTF-8, become escapes such as \\udce9."""
    return text.encode(errors="backslashreplace").decode()


_TEMPORARY = re.compile(r"\.audiotok-[0-9a-f]{16}\.tmp")


def temporary_path(folder: Path) -> Path:
    """A new name for a file that is being written in `folder`."""
    return folder / f".audiotok-{secrets.token_hex(8)}.tmp"


def temporaries(folder: Path) -> list[Path]:
    """The temporary files of killed processes in `folder`."""
    return [path for path in folder.glob(".*.tmp") if _TEMPORARY.fullmatch(path.name)]


def make_folder(path: Path) -> None:
    """Creates a folder with its parents; AudiotokError if it cannot be created."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise AudiotokError(
            f"cannot make the folder {path}: {reason.strerror or reason}; name another place"
        ) from reason


def regular_size(path: str | Path) -> int:
    """Bytes of a file; OSError for pipes and devices, which may never end."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, expected a file")
    return status.st_size


@contextmanager
def replacing(path: str | Path, error: type[AudiotokError]) -> Iterator[BinaryIO]:
    """A binary file that replaces `path` when the block ends without an exception.

    Args:
        path: of the file; the target of a symbolic link is replaced, not the link.
        error: class of the error raised if it cannot be written.
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
