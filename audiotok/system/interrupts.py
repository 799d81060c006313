"""Ctrl-C and SIGTERM, so that neither is lost and both end a command in the same way.

Python raises KeyboardInterrupt wherever the main thread is. Inside a callback that a C library
calls (libsndfile writing to a Python object, through cffi) the exception is printed and dropped,
and the library goes on with wrong data. So such calls stand in `deferred()`.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever handles Ctrl-C handles it too."""


@contextmanager
def terminating() -> Iterator[None]:
    """In the block, SIGTERM raises Terminated instead of ending the process at once."""
    before = _handler(signal.SIGTERM)
    if before is not signal.SIG_DFL:  # not the main thread, ignored, or the caller's own
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stopping(text: str) -> Iterator[None]:
    """Where the block is stopped by Ctrl-C or SIGTERM, prints `text` and ends the process with the
    exit code that shells know for it: 130 or 143."""
    with terminating():
        try:
            yield
        except KeyboardInterrupt as stopped:
            print(text, file=sys.stderr)
            raise SystemExit(exit_code(stopped)) from None


def exit_code(stopped: KeyboardInterrupt) -> int:
    """What shells report of a process that this ended."""
    return 128 + (signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT)


@contextmanager
def deferred() -> Iterator[None]:
    """A signal that arrives in the block takes effect at its end, even where the block fails.

    A second one takes effect at once, as well as at the end. Outside of the main thread, where no
    handler ever runs, this does nothing.
    """
    arrived: list[tuple[int, FrameType | None]] = []
    handlers = {number: handler for number in SIGNALS if callable(handler := _handler(number))}

    def remember(number: int, frame: FrameType | None) -> None:
        arrived.append((number, frame))
        if len(arrived) > 1:
            handlers[number](number, frame)

    for number in handlers:
        signal.signal(number, remember)
    try:
        yield
    finally:
        for number, handler in reversed(handlers.items()):
            signal.signal(number, handler)
        if arrived:
            handlers[arrived[0][0]](*arrived[0])


def _handler(number: signal.Signals) -> Callable | int | None:
    """What handles the signal; None where this thread may not change that."""
    if threading.current_thread() is not threading.main_thread():
        return None
    return signal.getsignal(number)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated
