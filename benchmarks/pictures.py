"""Scatter plots of results for documents: the same bytes from the same results and matplotlib."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audiotok.report import rates
from audiotok.results import results
from audiotok.results.results import Result

MARKERS = "osD^vPX*<>hp"
MAX_NAMES = 10  # a legend with more codecs would name their curves only
NAMES = {
    "bitrate": "bitrate",
    "lm_bitrate": "bits under the language model",
    "mel_distance": "mel distance",
    "pesq": "PESQ",
    "speaker_similarity": "speaker similarity",
    "stoi": "STOI",
    "wer_english_whisper_base": "WER, Whisper base",
}


@dataclass(frozen=True)
class Point:
    """One codec in one panel. `x` is None for the reference: it has no bitrate, and is drawn as a
    horizontal line."""

    panel: str  # the column on the y axis
    codec: str
    curve: str
    x: float | None
    y: float
    interval: tuple[float, float] | None


def points(pairs: Sequence[tuple[Result, Result]], x: str, panels: Sequence[str]) -> list[Point]:
    """The points of a plot of the columns `panels` against the column `x`.

    Args:
        pairs: for each codec the result that holds `x` and the one that holds the panels.
    """
    plotted = []
    for panel in panels:
        for result, other in pairs:
            score, position = other.scores.get(panel), _mean(result, x)
            if not score or score["mean"] is None:
                continue
            if position is None and result.role != "ceiling":
                continue
            interval = tuple(score["ci95"]) if score["ci95"] else None
            name, curve = result.codec.split("@")[0], rates.curve_of(result).split("@")[0]
            plotted.append(Point(panel, name, curve, position, score["mean"], interval))
    return plotted


def description(plotted: Sequence[Point]) -> str:
    """The digest of the plotted numbers, for the metadata of a picture; `--check` compares it."""
    text = json.dumps([asdict(point) for point in plotted])
    return f"sha256 of the plotted numbers: {hashlib.sha256(text.encode()).hexdigest()}"


def scatter(pairs: Sequence[tuple[Result, Result]], x: str, panels: Sequence[str]) -> Any:
    """A figure with one panel per column, each against `x` on a logarithmic axis.

    A point is a codec, with its 95 % interval. Settings of one codec share a colour and are joined
    by a line through those that are better than all cheaper ones. A dashed line is the reference.
    """
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "audiotok"
    import matplotlib.pyplot as plt

    plotted = points(pairs, x, panels)
    scores = {name: score for pair in pairs for r in pair for name, score in r.scores.items()}
    drawn = sorted((p for p in plotted if p.x is not None), key=lambda p: (p.curve, p.x))
    codecs = list(dict.fromkeys(point.codec for point in drawn))
    curves = list(dict.fromkeys(point.curve for point in drawn))
    named = codecs if len(codecs) <= MAX_NAMES else curves
    columns = min(3, len(named))
    lines = -(-(len(named) + 1) // columns)
    num_columns = 2 if len(panels) == 4 else min(3, len(panels))
    num_rows = -(-len(panels) // num_columns)
    size = (3.5 * num_columns, 2.7 * num_rows + 0.3 + 0.22 * lines)
    figure, axes = plt.subplots(
        num_rows, num_columns, figsize=size, squeeze=False, layout="constrained"
    )
    axes = list(axes.flat)
    for empty in axes[len(panels) :]:
        empty.set_visible(False)
    axes = axes[: len(panels)]
    for axis, panel in zip(axes, panels, strict=True):
        higher = scores[panel]["higher_is_better"] is not False
        visible = [point for point in drawn if point.panel == panel]
        for number, curve in enumerate(curves):
            front = _front([p for p in visible if p.curve == curve], higher)
            axis.plot([p.x for p in front], [p.y for p in front], color=f"C{number}", alpha=0.5)
        for point in visible:
            name = point.codec if named is codecs else point.curve
            style = {"color": f"C{curves.index(point.curve)}", "label": name}
            if point.interval:
                axis.vlines(point.x, *point.interval, color=style["color"], alpha=0.25, linewidth=2)
            marker = MARKERS[named.index(name) % len(MARKERS)]
            axis.plot(point.x, point.y, marker, markersize=5, zorder=3, **style)
        for point in plotted:
            if point.panel == panel and point.x is None:
                axis.axhline(point.y, color="#64748b", linestyle="--", label="original recording")
        axis.set_title(_label(panel, scores[panel]) + results.arrow(scores[panel]), fontsize=9)
        axis.set_xlabel(_label(x, scores[x]), fontsize=8)
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda v, _: f"{v:,.0f}"))
        axis.xaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    handles = {
        label: handle
        for axis in axes
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=columns, fontsize=8,
        frameon=False,
    )  # fmt: skip
    return figure


def save(figure: Any, description: str, out: Path) -> None:
    """Writes the figure as SVG, with `description` in its metadata."""
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, metadata={"Date": None, "Description": description})


def _front(sorted_points: Sequence[Point], higher: bool) -> list[Point]:
    """Those that are better than every point to the left of them."""
    front: list[Point] = []
    for point in sorted_points:
        if not front or (point.y > front[-1].y if higher else point.y < front[-1].y):
            front.append(point)
    return front


def _mean(result: Result, column: str) -> float | None:
    return (result.scores.get(column) or {}).get("mean")


def _label(name: str, score: dict[str, Any]) -> str:
    unit = f" ({score['unit']})" if score["unit"] else ""
    return NAMES.get(name, name.replace("_", " ")) + unit
