"""Progress of long computations: codecs report it, and a listener, such as a bar, shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], None]  # called with (done, total), see `report`

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """In the block, `listener` is called with what this thread reports."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def report(done: int, total: int) -> None:
    """Tells the listener, if there is one, that `done` of `total` frames (or chunks) are done."""
    if (listener := _listener.get()) is not None:
        listener(done, total)
