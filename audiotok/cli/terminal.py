"""Consoles and progress: text is printed without markup, and a log gets lines instead of a bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

_PAUSE = (10.0, 300.0)  # seconds between two lines of a log, at least and at most
_SHARE = 0.05  # of the time since the start, as a pause


def console(stderr: bool = False, soft_wrap: bool = False) -> Console:
    """A console without markup: `[x]` or `:x:` in a name is printed unchanged."""
    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream is not None and stream.isatty() else 200  # a pipe has no width
    return Console(
        stderr=stderr, width=wide, highlight=False, markup=False, emoji=False, soft_wrap=soft_wrap
    )


@contextmanager
def status(text: str) -> Iterator[Callable[[str], None]]:
    """A spinner on stderr, on a terminal only; yields a function that changes its text."""
    with console(stderr=True).status(Text(text)) as shown:
        yield lambda text: shown.update(Text(text))


class Bar:
    """Progress on a console: a bar on a terminal; elsewhere an occasional line.

    Args:
        disable: show nothing, neither bar nor lines.
        transient: remove the bar at the end.
    """

    def __init__(self, console: Console, disable: bool = False, transient: bool = True) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn())
        self.console, self._lines = console, not console.is_terminal and not disable
        self._progress = Progress(
            *columns,
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=transient,
            disable=disable or self._lines,
        )
        self._task = None

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, text: str, done: int = 0, total: int | None = None) -> None:
        """Replaces the last bar by a new one."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(text, total=total, completed=done)
        self._begin = self._last = time.monotonic()
        self._first = done

    def update(self, text: str, done: int, total: int | None) -> None:
        """Shows that `done` of `total` steps are done; `text` is the label."""
        self._progress.update(self._task, description=text, completed=done, total=total)
        now = time.monotonic()
        pause = min(max(_PAUSE[0], _SHARE * (now - self._begin)), _PAUSE[1])
        if self._lines and done != total and now - self._last >= pause:
            self._last = now
            self.note(f"{text}: {done} of {total or '?'}{self._left(now, done, total)}")

    def note(self, text: str) -> None:
        """Prints a permanent line."""
        self.console.print(text)

    def _left(self, now: float, done: int, total: int | None) -> str:
        """The estimated remaining time, "" if unknown."""
        if not total or done <= self._first:
            return ""
        seconds = (now - self._begin) / (done - self._first) * (total - done)
        left = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
        return f", about {left} left"
