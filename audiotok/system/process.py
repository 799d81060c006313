"""The environment of a command: closed, full or ASCII streams, and failures of the system."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from audiotok.errors import AudiotokError
from audiotok.system.files import cache_root

_closed: set[str] = set()  # standard streams that the caller had closed
_NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "allocate memory")  # PyTorch's messages


@contextmanager
def guarded() -> Iterator[None]:
    """Error handling for a whole command: expected errors are one line and exit code 2.

    If the reader closed the pipe (`| head -1`), the command ends silently with exit code 1.
    """
    _open_streams()
    try:
        try:
            _name_user()
            yield
        finally:
            _flush(sys.stdout)
    except BrokenPipeError:
        _discard(sys.stdout)
        sys.exit(1)
    except Exception as error:
        text = explained(error)
        if text is None:
            raise
        with suppress(OSError):
            print(f"audiotok: {' '.join(text.split())}", file=sys.stderr)
            _flush(sys.stderr)
        sys.exit(2)


def was_closed(name: str) -> bool:
    """Whether "stdin", "stdout" or "stderr" was closed when the command started."""
    return name in _closed


def explained(error: BaseException) -> str | None:
    """The message for an exception that is not a bug of this program; None for all others."""
    if isinstance(error, AudiotokError):
        return str(error)
    if isinstance(error, MemoryError) or _is_out_of_memory(error):
        reason = str(error).strip().partition("\n")[0][:200]
        return f"memory is short ({reason or 'MemoryError'}): free some, or give less work at once"
    if isinstance(error, OSError):
        names = [os.fsdecode(n) for n in (error.filename, error.filename2) if _is_path(n)]
        return f"{': '.join([*names, error.strerror or str(error)])} ({type(error).__name__})"
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, RuntimeError) and any(part in text for part in _NO_MEMORY)


def _is_path(name: object) -> bool:
    return isinstance(name, str | bytes)


def _name_user() -> None:
    """Sets a name and a home folder for a user unknown to the system (in a container): libraries
    need both, and would create a folder `~` in the working directory."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = f"uid-{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(cache_root())


def _open_streams() -> None:
    """Replaces closed standard streams by /dev/null, so that no file gets their number; characters
    that a stream cannot encode are written as escapes."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            _closed.add(name)
            # gets the lowest free number; child processes inherit it
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - to the end
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _flush(stream: TextIO) -> None:
    try:
        stream.flush()
    except OSError:
        _discard(stream)
        raise


def _discard(stream: TextIO) -> None:
    """Drops unwritten output of a stream, which the interpreter would write again at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
