"""Ctrl-C and SIGTERM: neither is lost, and both end a command in the same way.

Python raises KeyboardInterrupt wherever the main thread is. In a callback from a C library
(libsndfile writing to a Python object, through cffi) the exception is printed and dropped, and the
library continues with wrong data. Therefore such calls are made in `deferred()`.
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
    """Raised by SIGTERM; code that handles Ctrl-C handles it too."""


@contextmanager
def terminating() -> Iterator[None]:
    """In the block, SIGTERM raises Terminated instead of ending the process immediately."""
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
    """If Ctrl-C or SIGTERM stops the block, prints `text` and ends the process with the usual exit
    code: 130 or 143."""
    with terminating():
        try:
            yield
        except KeyboardInterrupt as stopped:
            print(text, file=sys.stderr)
            raise SystemExit(exit_code(stopped)) from None


def exit_code(stopped: KeyboardInterrupt) -> int:
    """The exit code that shells report for a process ended by this signal."""
    return 128 + (signal.SIGTERM if isinstance(stopped, Terminated) else signal.SIGINT)


@contextmanager
def deferred() -> Iterator[None]:
    """A signal that arrives in the block takes effect at its end, also if the block fails.

    A second signal takes effect immediately, and at the end too. Outside of the main thread, where
    no handler ever runs, this does nothing.
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
    """The handler of a signal; None if this thread may not change it."""
    if threading.current_thread() is not threading.main_thread():
        return None
    return signal.getsignal(number)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated
