"""Consoles, tables and progress: text is printed without markup, no name is cut, and a log gets
lines instead of a bar.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column, Table
from rich.text import Text

_PAUSE = (10.0, 300.0)  # seconds between two lines of a log, at least and at most
_SHARE = 0.05  # pause between two lines, as a share of the time since the start
_PIPE_WIDTH = 10_000  # columns of a pipe
_GAP = 2  # columns between two columns of a table
_MIN_PROSE = 24  # columns, at least, of text that wraps

Cell = str | Text


def console(stderr: bool = False, soft_wrap: bool = False) -> Console:
    """A console without markup: `[x]` or `:x:` in a name is printed unchanged."""
    stream = sys.stderr if stderr else sys.stdout
    columns = os.environ.get("COLUMNS", "")
    pipe_width = int(columns) if columns.isdecimal() and int(columns) else _PIPE_WIDTH
    width = None if stream is not None and stream.isatty() else pipe_width
    return Console(
        stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=soft_wrap
    )


def table(
    out: Console,
    heads: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    keys: int = 1,
    right: Container[str] = (),
    prose: Container[str] = (),
    drop: Sequence[str] = (),
) -> None:
    """Prints a table in which nothing is cut.

    Where it is wider than the console, columns named in `drop` are left out, and a line names them;
    then columns that still do not fit follow below, in further blocks.

    Args:
        keys: number of columns at the left that each block repeats.
        right: heads of columns that are aligned at the right.
        prose: heads of columns that wrap between words.
        drop: heads of columns that may be left out, in this order.
    """
    columns = list(zip(heads, *rows, strict=True))
    widths = [max(_width(cell) for cell in column) for column in columns]
    for number, head in enumerate(heads):
        widths[number] = min(widths[number], _MIN_PROSE) if head in prose else widths[number]

    def total_width(numbers: Sequence[int]) -> int:
        return sum(widths[number] + _GAP for number in numbers) - _GAP

    shown, left_out = list(range(len(heads))), []
    for head in drop:
        if total_width(shown) > out.width:
            left_out.append(head)
            shown.remove(heads.index(head))
    blocks, first = [[*range(keys)]], [*range(keys)]
    for number in (number for number in shown if number >= keys):
        if len(blocks[-1]) > keys and total_width([*blocks[-1], number]) > out.width:
            blocks.append([*first])
        blocks[-1].append(number)
    for index, block in enumerate(blocks):
        if index:
            out.print()
        fits = total_width(block) <= out.width
        block_table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False)
        for number in block:
            head = heads[number]
            block_table.add_column(
                head,
                justify="right" if head in right else "left",
                overflow="fold",
                no_wrap=fits and head not in prose,
            )
        for row in rows:
            block_table.add_row(*(row[number] for number in block))
        out.print(block_table)
    if left_out:
        out.print(f"Left out at {out.width} columns: {', '.join(left_out)}", style="dim")


def pairs(out: Console, rows: Sequence[tuple[str, Cell]]) -> None:
    """Prints names with their values; long values wrap."""
    grid = Table(
        Column(no_wrap=True), Column(overflow="fold"), box=None, show_header=False,
        padding=(0, _GAP, 0, 0), pad_edge=False,
    )  # fmt: skip
    for row in rows:
        grid.add_row(*row)
    out.print(grid)


def _width(cell: Cell) -> int:
    plain = cell.plain if isinstance(cell, Text) else cell
    return max(map(cell_len, plain.split("\n")))


@contextmanager
def status(text: str) -> Iterator[Callable[[str], None]]:
    """Shows the current work on stderr: a spinner on a terminal, an occasional line in a log.
    Yields a function that changes its text."""
    out, last = console(stderr=True, soft_wrap=True), time.monotonic()

    def log(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _PAUSE[0]:
            last = time.monotonic()
            out.print(text)

    if not out.is_terminal:
        yield log
        return
    with out.status(Text(text)) as spinner:
        yield lambda text: spinner.update(Text(text))


class _Time(ProgressColumn):
    """The estimated remaining time, or the time since the start if that is unknown."""

    def render(self, task: Task) -> Text:
        remaining = task.time_remaining
        seconds = int((task.elapsed or 0) if remaining is None else remaining)
        clock = f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        return Text(f"{clock} {'so far' if remaining is None else 'left'}")


class Bar:
    """Progress on a console: a bar on a terminal; elsewhere an occasional line.

    Bar, count and time are never cut; the label wraps next to them.

    Args:
        disable: show nothing, neither bar nor lines.
        transient: remove the bar at the end.
        delay: seconds after which it appears.
    """

    def __init__(
        self, console: Console, disable: bool = False, transient: bool = True, delay: float = 0
    ) -> None:
        self.console, self._lines = console, not console.is_terminal and not disable
        fixed, label = Column(no_wrap=True), Column(overflow="fold", ratio=1)
        self._progress = Progress(
            BarColumn(bar_width=min(20, console.width // 5), table_column=fixed.copy()),
            MofNCompleteColumn(table_column=fixed.copy()),
            _Time(table_column=fixed.copy()),
            TextColumn("{task.description}", markup=False, table_column=label),
            console=console,
            transient=transient,
            expand=True,
            disable=disable or self._lines,
        )
        self._task = None
        self._timer = threading.Timer(delay, self._progress.start) if delay else None

    def __enter__(self) -> Bar:
        if self._timer is None:
            self._progress.start()
        else:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
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
