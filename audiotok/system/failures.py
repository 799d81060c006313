"""Failures of clips, and whether they are transient.

A transient failure does not come from code or data, but from memory, disks, processes, networks or
a GPU. It is never stored as a result. Other failures would occur again in the same way.
"""

from __future__ import annotations

import errno
import re
import subprocess
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from typing import Any

from audiotok.errors import AudiotokError
from audiotok.system.files import readable

DIED = "the scoring process died"
LOST = "its Ray task was lost"

_TRANSIENT = (MemoryError, ImportError, ConnectionError, TimeoutError, BrokenExecutor)
# Numbers of an OSError for wrong calls, in contrast to failures of the system.
_WRONG_CALLS = {
    errno.EINVAL, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP,
    errno.EBADF, errno.ESPIPE, errno.EDOM, errno.ERANGE, errno.ENOTEMPTY,
}  # fmt: skip
_RAN_OUT = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
# Libraries raise these as RuntimeError; results of older versions have only the text.
_TEXTS = re.compile(
    rf"{DIED}|{LOST}|out of memory|OutOfMemory|MemoryError|bad_alloc"
    r"|(not|n't|unable to|failed to) (allocate|mmap)|insufficient memory|no space left on device"
    r"|disk quota exceeded|too many open files|start new thread|unable to open shared memory"
    r"|resource temporarily unavailable|(CUDA|HIP|NCCL|cuDNN) (driver )?error"
    r"|CU[A-Z]+_STATUS_(ALLOC_FAILED|NOT_INITIALIZED|INTERNAL_ERROR|EXECUTION_FAILED)"
    r"|connection (reset|refused|aborted)|timed out|broken pipe|input/output error"
    r"|stale file handle|KeyboardInterrupt",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\[Errno (\d+)\]")


@dataclass(frozen=True)
class Failure:
    """The reason why a clip, or a task for a clip, has no value; `transient`: it may pass."""

    message: str
    transient: bool = False

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        return cls(describe(error), is_transient(error))

    @property
    def record(self) -> dict[str, Any]:
        """The form for journals and summaries."""
        return {"message": self.message, "transient": self.transient}


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed another time, with the same code and data."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_transient, error.exceptions))
    if isinstance(error, (*_TRANSIENT, subprocess.TimeoutExpired)):
        return True
    if isinstance(error, subprocess.CalledProcessError):
        return error.returncode < 0  # it was killed
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno not in _WRONG_CALLS
    if _text_is_transient(describe(error)):
        return True
    return error.__cause__ is not None and is_transient(error.__cause__)


def is_of_the_machine(error: BaseException) -> bool:
    """Whether memory, disk or file handles ran out, for which no clip is the cause."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno in _RAN_OUT:
        return True
    return error.__cause__ is not None and is_of_the_machine(error.__cause__)


def was_transient(record: Mapping[str, Any]) -> bool:
    """`is_transient` for a failure in a journal or summary; older ones are classified by text."""
    recorded = record.get("transient")
    return _text_is_transient(str(record.get("message"))) if recorded is None else bool(recorded)


def _text_is_transient(text: str) -> bool:
    number = _NUMBER.search(text)
    if number is not None and int(number[1]) not in _WRONG_CALLS:
        return True
    return _TEXTS.search(text) is not None


def describe(error: BaseException) -> str:
    """The message in one line; for exceptions of other packages with their type."""
    text = readable(" ".join(str(error).split())[:500])
    return text if isinstance(error, AudiotokError) else f"{type(error).__name__}: {text}"
