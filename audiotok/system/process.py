"""The surroundings of a command: streams that are closed, full or ASCII, failures of the system."""

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

_NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "allocate memory")  # PyTorch's messages


@contextmanager
def guarded() -> Iterator[None]:
    """Around a whole command: what its user or the system can mend is one line and exit code 2.

    A reader that closed the pipe (`| head -1`) ends the command without a word, with exit code 1.
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


def explained(error: BaseException) -> str | None:
    """What to tell of an exception that is no fault of this program; None for all others."""
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
    """Gives a user that the system does not know (in a container) a name and a home folder:
    libraries ask for both, and would make a folder `~` in the working directory."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = f"uid-{os.getuid()}"
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = str(cache_root())


def _open_streams() -> None:
    """Puts /dev/null in the place of standard streams that are closed, so that no file gets their
    number; what a stream cannot encode is written as an escape."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            # gets the lowest number that is free; processes that are started get it too
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
    """Drops what a stream could not write: the interpreter would try again when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
