"""Names are printed as they are; a log gets a line now and then."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.table import Table

from audiotok.cli import terminal

NAMES = ["my-codec[ema]", "my [/codec]", "[red]x[/red]", "a:smile:", "[link=x]", "\\[x]", "[/]"]


def console(monkeypatch, tty: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    made = terminal.console()
    made._file, made._force_terminal = file, tty
    return made, file


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tty", [False, True])
def test_names_are_no_markup(monkeypatch, name, tty):
    made, file = console(monkeypatch, tty)
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    made.print(table)
    made.print(name, style="dim")
    with terminal.Bar(made, transient=False) as bar:
        bar.start(name, 0, 2)
        bar.update(name, 1, 2)
        bar.note(name)
    assert file.getvalue().count(name) >= 5 if tty else 4
    assert name in file.getvalue()


def test_a_spinner_takes_names_as_they_are():
    with terminal.status("[/x]") as update:
        update("[/y]")


def test_a_log_gets_lines_now_and_then(monkeypatch):
    now = 0.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    made, file = console(monkeypatch, False)
    with terminal.Bar(made) as bar:
        bar.start("mulaw", 0, 10_000)
        for done in range(1, 10_001):
            now += 1.0
            bar.update("mulaw", done, 10_000)
    lines = file.getvalue().splitlines()
    assert lines[0] == "mulaw: 10 of 10000, about 166 min left"
    assert 20 < len(lines) < 150  # of hours: fewer and fewer
    assert len(lines[0]) < 100


def test_a_terminal_gets_no_lines(monkeypatch):
    now = 0.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    made, file = console(monkeypatch, True)
    with terminal.Bar(made) as bar:
        bar.start("mulaw", 0, 100)
        for done in range(1, 101):
            now += 20.0
            bar.update("mulaw", done, 100)
    assert " left\n" not in file.getvalue()
