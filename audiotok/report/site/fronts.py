"""Pareto fronts as SVG: quality against cost, with the names of the codecs on the front."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audiotok.report.boards import Front
from audiotok.results.results import Result, arrow
from audiotok.system.names import part

WIDTH, HEIGHT = 560, 330
LEFT, RIGHT, TOP, BOTTOM = 66, 24, 14, 50
LABEL = 24  # characters of a name that are written
_CHARACTER = 7.6  # width of a letter: of those on a phone, which are larger


@dataclass(frozen=True)
class Figure:
    """Places in the drawing, in pixels of WIDTH x HEIGHT.

    Attributes:
        points: of each codec `x`, `y`, `name`, `page`, `text`, `on_front`, `classical`, and `label`
            (x, y, text-anchor, name), None where there is no room for it.
        path: of the front.
        x_ticks, y_ticks: (place, number).
        titles: of both axes.
    """

    front: Front
    points: list[dict[str, Any]]
    path: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    titles: tuple[str, str]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    floor: int = HEIGHT - BOTTOM


def codec_page(name: str) -> str:
    """Where the page of a codec is."""
    return f"codecs/{part(name)}.html"


def figure(front: Front, group: Sequence[Result], known: dict[str, dict[str, Any]]) -> Figure:
    """The drawing of a front: cost on a logarithmic axis, a step up at each codec on the front."""
    column, means = known[front.column], front.standing.means
    costs = {codec: cost for codec, cost in front.costs.items() if cost > 0}
    low, high = (math.log2(edge(costs.values())) for edge in (min, max))
    low, high = low - 0.3, high + 0.9
    drawn = [means[codec] for codec in costs]
    spread = (max(drawn) - min(drawn)) or abs(max(drawn)) or 1.0
    bottom, top = min(drawn) - 0.12 * spread, max(drawn) + 0.12 * spread

    def across(cost: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (math.log2(cost) - low) / (high - low), 1)

    def up(value: float) -> float:
        tall = HEIGHT - TOP - BOTTOM
        return round(HEIGHT - BOTTOM - tall * (value - bottom) / (top - bottom), 1)

    roles = {result.codec: result.role for result in group}
    unit = known.get(front.cost, {"unit": "bit/s"})["unit"]
    points = [
        {
            "name": codec, "page": codec_page(codec), "x": across(costs[codec]),
            "y": up(means[codec]), "on_front": codec in front.codecs,
            "classical": roles[codec] == "baseline",
            "text": f"{codec}: {means[codec]:.{column['digits']}f} at {costs[codec]:.6g} {unit}",
        }
        for codec in sorted(costs, key=lambda codec: (codec not in front.codecs, codec))
    ]  # fmt: skip
    _place_labels(points)
    steps = [(across(costs[c]), up(means[c])) for c in front.codecs if c in costs]
    path = "".join(f"H{x}V{y}" if i else f"M{x},{y}" for i, (x, y) in enumerate(steps))
    exponents = range(math.ceil(low), math.floor(high) + 1)
    name = f"{front.column}{', ' + column['unit'] if column['unit'] else ''}{arrow(column)}"
    return Figure(
        front=front,
        points=points,
        path=f"{path}H{WIDTH - RIGHT}" if steps else "",
        x_ticks=[(across(2.0**e), f"{2.0**e:g}") for e in exponents],
        y_ticks=[(up(tick), f"{tick:g}") for tick in _ticks(bottom, top)],
        titles=(f"{front.cost}, {unit} (logarithmic)", name),
    )


def _place_labels(points: list[dict[str, Any]]) -> None:
    """Adds labels above the points where they cover no earlier one, left of points at the right."""
    taken: list[tuple[float, float, float, float]] = []
    for point in points:
        name = point["name"]
        name = name if len(name) <= LABEL else name[: LABEL - 1] + "…"
        wide = len(name) * _CHARACTER
        turned = point["x"] + wide + 8 > WIDTH
        x, y = point["x"] + (-4 if turned else 4), point["y"]
        box = (x - wide if turned else x, y - 22, x if turned else x + wide, y - 7)
        point["label"] = None
        if box[1] > 0 and not any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
            for other in taken
        ):
            taken.append(box)
            point["label"] = (x, y - 9, "end" if turned else "start", name)


def _ticks(low: float, high: float) -> list[float]:
    """Three to eight round numbers between two others."""
    rough = (high - low) / 7
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(m for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    first = math.ceil(low / step)
    return [round(i * step, 10) for i in range(first, math.floor(high / step) + 1)]
