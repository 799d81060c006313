"""`audiotok check` and `verify`: the conformance kit with a progress bar, tables, a result file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from audiotok import testing
from audiotok.cli import show, terminal
from audiotok.cli.terminal import Bar
from audiotok.codec.codec import Codec
from audiotok.errors import AudiotokError, CodecError
from audiotok.testing import Outcome, record
from audiotok.testing.golden import Comparison
from audiotok.testing.promise import described

_STYLES = {
    "kept": "green",
    "broken": "bold red",
    "not checked": "yellow",
    "equal": "green",
    "different": "bold red",
    "unavailable": "yellow",
}


def load(loading: Callable[[], Codec], name: str) -> Codec:
    """Loads a codec; any exception of its `_load` becomes a CodecError of one line."""
    try:
        return loading()
    except AudiotokError:
        raise
    except Exception as reason:  # the code of a user's codec may raise anything
        raise CodecError(f"{name} cannot be loaded: it raises {described(reason)}") from reason


def run_checks(codec: Codec) -> list[Outcome]:
    """The outcomes of all promises; shows a progress bar on stderr."""
    done, total = itertools.count(), len(testing.PROMISES)
    with Bar(show.err) as bar:
        bar.start(codec.card.name, total=total)

        def before(promise: testing.Promise) -> None:
            bar.update(f"{codec.card.name}: {promise.name}", next(done), total)

        return testing.examine(codec, before=before)


def write_results(
    codec: Codec, outcomes: Sequence[Outcome], out: Path, own_weights: bool
) -> tuple[dict[str, Any], Path]:
    """Writes the result file; returns its content and path."""
    content = record.record(codec, outcomes, own_weights)
    return content, record.write(content, out)


def table(codec: Codec, outcomes: Sequence[Outcome]) -> None:
    """One line per promise with its state, and the reason, the measured numbers or its text."""
    rows = []
    for outcome in outcomes:
        state = Text(outcome.state, style=_STYLES[outcome.state])
        numbers = "; ".join(f"{name} {_number(name, n)}" for name, n in outcome.numbers.items())
        if outcome.why is not None:
            text = Text(outcome.why, style=_STYLES[outcome.state])
        else:
            text = Text(numbers) if numbers else Text(outcome.says, style="dim")
        rows.append((outcome.promise, state, text))
    terminal.table(show.out, ("promise", "", "result"), rows, prose=("result",))
    name = codec.card.name
    broken = [outcome.promise for outcome in outcomes if outcome.state == "broken"]
    skipped = sum(outcome.state == "not checked" for outcome in outcomes)
    unchecked = f" ({skipped} not checked, for the reasons given)" if skipped else ""
    if broken:
        names = ", ".join(broken)
        show.out.print(
            f"{name} breaks {len(broken)} of {len(outcomes)} promises: {names}{unchecked}"
        )
    else:
        show.out.print(f"{name} keeps every promise that was checked{unchecked}")


def comparison_table(codec: Codec, comparisons: Sequence[Comparison]) -> None:
    """One line per comparison with its state, and a line that summarises all of them."""
    rows = []
    for comparison in comparisons:
        state = Text(comparison.state, style=_STYLES[comparison.state])
        numbers = "; ".join(f"{name} {_number(name, n)}" for name, n in comparison.numbers.items())
        rows.append((comparison.what, state, Text(comparison.why or numbers)))
    heads = ("compared with", "", "result")
    terminal.table(show.out, heads, rows, prose=("compared with", "result"))
    name, states = codec.card.name, [comparison.state for comparison in comparisons]
    if different := [
        comparison.what for comparison in comparisons if comparison.state == "different"
    ]:
        show.out.print(f"{name} is not what it is compared with: {', '.join(different)}")
    elif "equal" in states:
        count = states.count("unavailable")
        unavailable = f" ({count} unavailable)" if count else ""
        show.out.print(f"{name} equals all that it could be compared with{unavailable}")
    else:
        show.out.print(f"{name} was compared with itself only: nothing else was available")


def _number(name: str, value: float) -> str:
    return f"{100 * value:.3g} %" if name.startswith("share") else f"{value:.4g}"
