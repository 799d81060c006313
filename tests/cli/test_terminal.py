"""Names are printed as they are; a log gets a line now and then."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from rich.table import Table

from audiotok.cli import show, terminal

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
    assert file.getvalue().count(name) >= (5 if tty else 4)
    assert name in file.getvalue()


def test_a_spinner_takes_names_as_they_are():
    with terminal.status("[/x]") as update:
        update("[/y]")


def test_a_log_gets_what_a_spinner_says_now_and_then(monkeypatch, capsys):
    now = 0.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    with terminal.status("reading") as update:
        for number in range(100):
            now += 1.0
            update(f"[/{number}]")
    assert capsys.readouterr().err.splitlines() == [f"[/{n}]" for n in range(9, 100, 10)]


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


def test_a_resumed_training_estimates_by_its_own_steps(monkeypatch):
    now = 0.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    made, file = console(monkeypatch, False)
    monkeypatch.setattr(show, "err", made)
    with show.TrainProgress() as progress:
        now += 40.0  # the corpus is read
        for step in range(1001, 1101):
            progress.report(step, 2000, {"loss": 1.0})
            now += 6.0
    assert file.getvalue().splitlines()[0] == "loss 1: 1003 of 2000, about 66 min left"


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


def wide(columns: int) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, width=columns, markup=False, emoji=False, highlight=False), file


HEADS = ("name", "Hz", "bit/s", "text")
ROWS = [(name * 9, "16000", "500", "some words that wrap " * 5) for name in ("ab", "cde")]


@pytest.mark.parametrize("columns", [200, 80, 60, 36])
def test_a_table_cuts_nothing(columns):
    out, file = wide(columns)
    terminal.table(out, HEADS, ROWS, prose=("text",))
    text = file.getvalue()
    assert "…" not in text and max(map(len, text.splitlines())) <= columns
    for row in ROWS:
        assert row[0] in text
    assert text.count("16000") == text.count("500") == 2 and text.count("wrap") == 10


def test_a_table_drops_columns_in_order():
    for columns, left in ((90, ""), (62, "Hz"), (42, "Hz, text")):
        out, file = wide(columns)
        terminal.table(out, HEADS, ROWS, prose=("text",), drop=("Hz", "text"))
        lines = file.getvalue().splitlines()
        note = f"Left out at {columns} columns: {left}"
        assert (note in lines) if left else "Left out" not in file.getvalue()
        assert ("wrap" in file.getvalue()) == ("text" not in left)


def test_a_name_wider_than_the_console_is_folded():
    out, file = wide(10)
    terminal.table(out, ("name", "n"), [("x" * 25, "7")])
    assert file.getvalue().count("x") == 25 and "7" in file.getvalue()


def test_pipes_have_no_width(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.StringIO())
    for columns, expected in (("80", 80), ("", 10_000), ("x", 10_000), ("0", 10_000)):
        monkeypatch.setenv("COLUMNS", columns)
        assert terminal.console().width == expected


@pytest.mark.parametrize("columns", [80, 50])
def test_a_bar_keeps_step_and_time_whole(columns):
    file = io.StringIO()
    out = Console(file=file, width=columns, force_terminal=True, color_system=None)
    label = ", ".join(f"loss_{n} {n}.25" for n in range(12))
    with terminal.Bar(out, transient=False) as bar:
        bar.start("starting")
        bar.update(label, 1234, 50_000)
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).rpartition("starting")[2]
    assert "1234/50000" in last and ("left" in last or "so far" in last) and "…" not in last
    assert all(f"{n}.25" in last for n in range(12))


def test_a_bar_with_a_delay_shows_nothing_before():
    file = io.StringIO()
    out = Console(file=file, width=80, force_terminal=True)
    with terminal.Bar(out, delay=60) as bar:
        bar.start("short")
        bar.update("short", 1, 2)
    assert file.getvalue().strip() == ""
    with terminal.Bar(out, delay=0.01) as bar:
        bar.start("long")
        bar._timer.join()
        bar.update("long", 1, 2)
    assert "long" in file.getvalue()
