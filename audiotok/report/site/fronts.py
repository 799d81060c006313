"""Scatter plots as SVG: quality against cost, a Pareto front, labels that never collide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from audiotok.report import headline
from audiotok.report.boards import Front
from audiotok.report.headline import Column, Headline, Row
from audiotok.report.titles import title
from audiotok.results.results import Result, arrow
from audiotok.system.names import part

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 66, 20, 16, 52
LABEL = 30  # characters of a name that are written
RADIUS = 6  # of a marker, with its outline
_CHARACTER, _LINE = 8.2, 17  # size of a letter: of those on a phone, which are larger
KINDS = {
    "neural": "neural codec", "classical": "classical codec",
    "sample": "published sample, other clips", "small": "small codec or ablation",
}  # fmt: skip
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass
class Point:
    """A codec in a plot; `label` (x, y, text-anchor, name) is None where there is no room."""

    name: str
    page: str
    x: float
    y: float
    kind: str
    text: str
    on_front: bool = False
    label: tuple[float, float, str, str] | None = None


@dataclass(frozen=True)
class Figure:
    """Places in the drawing, in pixels of WIDTH x HEIGHT.

    Attributes:
        title, key: what is drawn, and its name in addresses.
        points: by Point.x and .y in pixels.
        path: of the front, whose codecs are named in `front`.
        x_ticks, y_ticks: (place, number).
        titles: of both axes.
    """

    title: str
    key: str
    points: list[Point]
    path: str
    front: list[str]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    titles: tuple[str, str]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    floor: int = HEIGHT - BOTTOM
    kinds: dict[str, str] = field(default_factory=lambda: KINDS)

    @property
    def legend(self) -> list[tuple[str, str]]:
        """(kind, what it is) of the markers in the plot."""
        used = {point.kind for point in self.points}
        return [(kind, text) for kind, text in KINDS.items() if kind in used]


def codec_page(name: str) -> str:
    """Where the page of a codec is."""
    return f"codecs/{part(name)}.html"


def figure(front: Front, group: Sequence[Result], known: dict[str, dict[str, Any]]) -> Figure:
    """The plot of a front of one setting."""
    column, means = known[front.column], front.standing.means
    roles = {result.codec: result.role for result in group}
    unit = known.get(front.cost, {"unit": "bit/s"})["unit"]
    scale, unit = (1000, "kbit/s") if unit == "bit/s" else (1, unit)
    points = [
        Point(
            name=headline.short_name(codec), page=codec_page(codec), x=cost / scale,
            y=means[codec], kind="classical" if roles[codec] == "baseline" else "neural",
            text=f"{codec}: {means[codec]:.{column['digits']}f} at {cost / scale:.4g} {unit}",
            on_front=codec in front.codecs,
        )
        for codec, cost in front.costs.items()
        if cost > 0
    ]  # fmt: skip
    name = f"{title(front.column)}{', ' + column['unit'] if column['unit'] else ''}{arrow(column)}"
    about = f"{title(front.column)} against {title(front.cost).lower()}"
    key = f"{front.column}-{front.cost}"
    titles = (f"{title(front.cost)}, {unit} (logarithmic scale)", name)
    return _drawn(about, key, points, titles)


def headline_figures(table: Headline) -> list[Figure]:
    """A plot of each column of quality of a headline table, where two codecs have it."""
    figures = []
    for column in table.columns:
        if column.key == "lm_bitrate" or column.higher_is_better is None:
            continue
        drawn = [
            row for row in table.rows
            if row.bitrate and column.key in row.cells and row.section != headline.ANCHORS
        ]  # fmt: skip
        if len([row for row in drawn if row.section != headline.SAMPLES]) < 2:
            continue
        front = _pareto(table, drawn, column)
        points = [_point(row, column, row.codec in front) for row in drawn]
        titles = ("Bitrate, kbit/s (logarithmic scale)", column.head)
        figures.append(_drawn(f"{column.title} against bitrate", column.key, points, titles))
    return figures


def _point(row: Row, column: Column, on_front: bool) -> Point:
    cell, baseline = row.cells[column.key], row.result.role == "baseline"
    kinds = {headline.SAMPLES: "sample", headline.SMALL: "small"}
    kind = kinds.get(row.section, "classical" if baseline else "neural")
    unit = f" {column.unit}" if column.unit else ""
    text = f"{row.codec}: {cell.value:.{column.digits}f}{unit}"
    text += f" at {headline.kbit(row.bitrate)} kbit/s"
    return Point(
        row.name, codec_page(row.codec), row.bitrate / 1000, cell.value, kind, text, on_front
    )


def _pareto(table: Headline, rows: Sequence[Row], column: Column) -> set[str]:
    """The codecs, measured on the same clips, that no cheaper one equals, and that are better than
    random tokens."""
    sign = 1 if column.higher_is_better else -1
    floor = [r.cells[column.key].value for r in table.section(headline.ANCHORS)
             if r.result.role == "floor" and column.key in r.cells]  # fmt: skip
    best = max((sign * value for value in floor), default=-math.inf)
    front = set()
    own = [row for row in rows if row.section != headline.SAMPLES]
    for row in sorted(own, key=lambda row: (row.bitrate, -sign * row.cells[column.key].value)):
        if sign * row.cells[column.key].value > best:
            best = sign * row.cells[column.key].value
            front.add(row.codec)
    return front


# --- drawing ---------------------------------------------------------------------------------


def _drawn(name: str, key: str, points: list[Point], titles: tuple[str, str]) -> Figure:
    """The figure of points in units of the axes, whose places become pixels."""
    low, high = (math.log2(edge(point.x for point in points)) for edge in (min, max))
    low, high = low - 0.4, high + 0.6
    drawn = [point.y for point in points]
    spread = (max(drawn) - min(drawn)) or abs(max(drawn)) or 1.0
    bottom, top = min(drawn) - 0.12 * spread, max(drawn) + 0.14 * spread

    def across(cost: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (math.log2(cost) - low) / (high - low), 1)

    def up(value: float) -> float:
        tall = HEIGHT - TOP - BOTTOM
        return round(HEIGHT - BOTTOM - tall * (value - bottom) / (top - bottom), 1)

    for point in points:
        point.x, point.y = across(point.x), up(point.y)
    order = list(KINDS)
    points.sort(key=lambda p: (not p.on_front, order.index(p.kind), p.x))
    _place_labels(points)
    steps = sorted((p.x, p.y) for p in points if p.on_front)
    path = "".join(f"H{x}V{y}" if i else f"M{x},{y}" for i, (x, y) in enumerate(steps))
    front = [p.name for p in sorted((p for p in points if p.on_front), key=lambda p: p.x)]
    exponents = range(math.ceil(low), math.floor(high) + 1)
    return Figure(
        title=name,
        key=key,
        points=points,
        path=f"{path}H{WIDTH - RIGHT}" if steps else "",
        front=front,
        x_ticks=[(across(2.0**e), f"{2.0**e:g}") for e in exponents],
        y_ticks=[(up(tick), f"{tick:g}") for tick in _ticks(bottom, top)],
        titles=titles,
    )


def marker_box(point: Point) -> Box:
    """What the marker of a point covers."""
    return (point.x - RADIUS, point.y - RADIUS, point.x + RADIUS, point.y + RADIUS)


def label_box(label: tuple[float, float, str, str]) -> Box:
    """What a label covers; its y is the baseline of the text."""
    x, y, anchor, name = label
    wide = len(name) * _CHARACTER
    left = {"start": x, "middle": x - wide / 2, "end": x - wide}[anchor]
    return (left, y - _LINE + 4, left + wide, y + 4)


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _place_labels(points: Sequence[Point]) -> None:
    """Gives each point, those on the front first, the first free place around it, if there is one:
    within the frame, and over no marker and no other label."""
    taken = [marker_box(point) for point in points]
    for point in points:
        name = point.name if len(point.name) <= LABEL else point.name[: LABEL - 1] + "…"
        for label in _places(point, name):
            box = label_box(label)
            inside = (
                box[0] >= LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM
            )
            if inside and not any(overlap(box, other) for other in taken):
                taken.append(box)
                point.label = label
                break


def _places(point: Point, name: str) -> Iterator[tuple[float, float, str, str]]:
    gap = RADIUS + 3
    for down in (4, -6, 14):
        yield (point.x + gap, point.y + down, "start", name)
        yield (point.x - gap, point.y + down, "end", name)
    yield (point.x, point.y - gap - 2, "middle", name)
    yield (point.x, point.y + gap + 12, "middle", name)


def _ticks(low: float, high: float) -> list[float]:
    """Three to eight round numbers between two others."""
    rough = (high - low) / 7
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(m for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    first = math.ceil(low / step)
    return [round(i * step, 10) for i in range(first, math.floor(high / step) + 1)]
