"""Pictures of results for documents, the same bytes from the same results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiotok.report import rates
from audiotok.results import results
from audiotok.results.results import Result

COLOURS = {"neural": "#c2410c", "baseline": "#475569", "ceiling": "#94a3b8", "floor": "#94a3b8"}


def intervals(found: Sequence[Result], names: Sequence[str], out: Path) -> None:
    """One panel per metric, one line per codec, with the 95 % intervals."""
    plt = _pyplot()
    known = results.columns(found)
    size = (1.6 + 1.75 * len(names), 0.9 + 0.3 * len(found))
    figure, panels = plt.subplots(1, len(names), sharey=True, figsize=size, squeeze=False)
    for panel, name in zip(panels[0], names, strict=True):
        for row, result in enumerate(found):
            score = result.scores.get(name)
            if score and score["mean"] is not None:
                low, high = score["ci95"] or (score["mean"], score["mean"])
                colour = COLOURS.get(result.role, "black")
                panel.plot([low, high], [row, row], color=colour, linewidth=2, alpha=0.5)
                panel.plot(score["mean"], row, "o", color=colour, markersize=5)
        unit = f" ({known[name]['unit']})" if known[name]["unit"] else ""
        title = name.replace("_", " ") + results.arrow(known[name]) + unit
        panel.set_title(title, fontsize=9)
        panel.tick_params(labelsize=8)
        panel.grid(axis="x", alpha=0.3)
        panel.spines[["top", "right", "left"]].set_visible(False)
        if known[name]["unit"] == "bit/s":
            panel.set_xscale("log")
    panels[0][0].set_yticks(range(len(found)), [r.title for r in found], fontsize=9)
    panels[0][0].invert_yaxis()
    _save(figure, out)


def curves(found: Sequence[Result], names: Sequence[str], out: Path) -> None:
    """One panel per quality against bitrate: a line through each codec's front, all its points."""
    plt = _pyplot()
    known = results.columns(found)
    size = (3.4 * len(names), 3.2)
    figure, panels = plt.subplots(1, len(names), figsize=size, squeeze=False)
    for panel, name in zip(panels[0], names, strict=True):
        points, _ = rates.rate_quality(found, name)
        for number, (curve, part) in enumerate(points.groupby("curve")):
            colour, front = f"C{number}", part[part.front]
            panel.plot(front.bitrate, front[name], "-", color=colour, label=curve)
            panel.plot(part.bitrate, part[name], "o", color=colour, markersize=4, alpha=0.7)
        unit = f" ({known[name]['unit']})" if known[name]["unit"] else ""
        panel.set_title(name.replace("_", " ") + results.arrow(known[name]) + unit, fontsize=9)
        panel.set_xscale("log")
        panel.set_xlabel("bit/s", fontsize=8)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0][-1].legend(fontsize=8, frameon=False)
    _save(figure, out)


def against(
    pairs: Sequence[tuple[Result, Result]], name: str, others: Sequence[str], out: Path
) -> None:
    """One panel per other column, set against `name`: a point for each codec."""
    plt = _pyplot()
    known = results.columns([one for one, _ in pairs]), results.columns([two for _, two in pairs])
    size = (3.6 * len(others), 3.4)
    figure, panels = plt.subplots(1, len(others), figsize=size, squeeze=False)
    for panel, other in zip(panels[0], others, strict=True):
        for one, two in pairs:
            point = [(r.scores.get(n) or {}).get("mean") for r, n in ((one, name), (two, other))]
            if None in point:
                continue
            colour = COLOURS.get(one.role, "black")
            panel.plot(*point, "o", color=colour, markersize=5)
            panel.annotate(
                one.codec.split("@")[0], point, (4, 4), textcoords="offset points", fontsize=7
            )
        unit = f" ({known[0][name]['unit']})" if known[0][name]["unit"] else ""
        panel.set_xlabel(name.replace("_", " ") + unit, fontsize=8)
        panel.set_title(other.replace("_", " ") + results.arrow(known[1][other]), fontsize=9)
        panel.set_xscale("log")
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    _save(figure, out)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "audiotok"
    import matplotlib.pyplot as plt

    return plt


def _save(figure: Any, out: Path) -> None:
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, metadata={"Date": None})
