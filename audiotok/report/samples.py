"""Notes and columns for tables of published samples (given reconstructions). No torch."""

from __future__ import annotations

from collections.abc import Sequence

from audiotok.results.results import Result, columns
from audiotok.results.selection import select


def notes(group: Sequence[Result]) -> list[str]:
    """Sentences without a full stop to print below a table of given reconstructions; [] if the
    results have none."""
    counts = sorted({r.summary["data"]["clips"] for r in group if r.role == "given"})
    if not counts:
        return []
    clips = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    sentences = [
        "Sounds that others made with their own programs and published, not run by us: "
        f"{clips} of each codec, too few to rank codecs by"
    ]
    stand_ins = (r.summary["codec"].get("stand_in") for r in group if r.role == "ceiling")
    return sentences + [
        f"The original was not published: the sound of {name} stands in for it as the reference, "
        "and differences from it are no differences from an original"
        for name in filter(None, stand_ins)
    ]


def headline(group: Sequence[Result]) -> list[str]:
    """The columns to show first: those that the suite names; [] if nothing is given."""
    if not notes(group):
        return []
    return select(group[0].summary["suite"].get("headline", ()), columns(group))
