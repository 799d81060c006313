"""Scatter plots as SVG: quality against cost, a Pareto front, labels that do not overlap."""

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
_CHARACTER, _LINE = 8.2, 17  # width and height of a letter on a phone, where letters are larger
KINDS = {
    "neural": "neural codec", "classical": "classical codec",
    "sample": "published sample, other clips", "small": "small codec or ablation",
}  # fmt: skip
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass
class Point:
    """A codec in a plot; `label` (x, y, text-anchor, name) is None if there is no room."""

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
    """A figure; coordinates are pixels of WIDTH x HEIGHT.

    Attributes:
        title, key: the title, and the name in addresses.
        points: with x and y in pixels.
        path: of the front, whose codecs are named in `front`.
        x_ticks, y_ticks: (pixel, number).
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
        """(kind, description) of the markers in the plot."""
        used = {point.kind for point in self.points}
        return [(kind, text) for kind, text in KINDS.items() if kind in used]


def codec_page(name: str) -> str:
    """The path of the page of a codec in the site."""
    return f"codecs/{part(name)}.html"


def figure(front: Front, group: Sequence[Result], by_name: dict[str, dict[str, Any]]) -> Figure:
    """The plot of a front of one setting."""
    column, means = by_name[front.column], front.standing.means
    roles = {result.codec: result.role for result in group}
    unit = by_name.get(front.cost, {"unit": "bit/s"})["unit"]
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
    figure_title = f"{title(front.column)} against {title(front.cost).lower()}"
    key = f"{front.column}-{front.cost}"
    titles = (f"{title(front.cost)}, {unit} (logarithmic scale)", name)
    return _figure(figure_title, key, points, titles)


def headline_figures(table: Headline) -> list[Figure]:
    """A plot of each column of quality of a headline table that at least two codecs have."""
    figures = []
    for column in table.columns:
        if column.key == "lm_bitrate" or column.higher_is_better is None:
            continue
        shown_rows = [
            row for row in table.rows
            if row.bitrate and column.key in row.cells and row.section != headline.ANCHORS
        ]  # fmt: skip
        if len([row for row in shown_rows if row.section != headline.SAMPLES]) < 2:
            continue
        front = _pareto(table, shown_rows, column)
        points = [_point(row, column, row.codec in front) for row in shown_rows]
        titles = ("Bitrate, kbit/s (logarithmic scale)", column.head)
        figures.append(_figure(f"{column.title} against bitrate", column.key, points, titles))
    return figures


def _point(row: Row, column: Column, on_front: bool) -> Point:
    cell, baseline = row.cells[column.key], row.result.role == "baseline"
    kinds = {headline.SAMPLES: "sample", headline.SMALL: "small"}
    kind = kinds.get(row.section, "classical" if baseline else "neural")
    unit = f" {column.unit}" if column.unit else ""
    text = f"{row.codec}: {cell.value:.{column.digits}f}{unit}"
    text += f" at {headline.kbit(row.bitrate)} kbit/s"
    return Point(
        name=row.name, page=codec_page(row.codec), x=row.bitrate / 1000, y=cell.value,
        kind=kind, text=text, on_front=on_front,
    )  # fmt: skip


def _pareto(table: Headline, rows: Sequence[Row], column: Column) -> set[str]:
    """The Pareto front of codecs measured on the same clips that are better than random tokens."""
    sign = 1 if column.higher_is_better else -1
    floor = [r.cells[column.key].value for r in table.section(headline.ANCHORS)
             if r.result.role == "floor" and column.key in r.cells]  # fmt: skip
    best = max((sign * value for value in floor), default=-math.inf)
    front = set()
    measured = [row for row in rows if row.section != headline.SAMPLES]
    for row in sorted(measured, key=lambda row: (row.bitrate, -sign * row.cells[column.key].value)):
        if sign * row.cells[column.key].value > best:
            best = sign * row.cells[column.key].value
            front.add(row.codec)
    return front


# --- drawing ---------------------------------------------------------------------------------


def _figure(name: str, key: str, points: list[Point], titles: tuple[str, str]) -> Figure:
    """The figure of points in units of the axes; converts their coordinates to pixels."""
    low, high = (math.log2(edge(point.x for point in points)) for edge in (min, max))
    low, high = low - 0.4, high + 0.6
    values = [point.y for point in points]
    spread = (max(values) - min(values)) or abs(max(values)) or 1.0
    bottom, top = min(values) - 0.12 * spread, max(values) + 0.14 * spread

    def x_pixel(cost: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (math.log2(cost) - low) / (high - low), 1)

    def y_pixel(value: float) -> float:
        height = HEIGHT - TOP - BOTTOM
        return round(HEIGHT - BOTTOM - height * (value - bottom) / (top - bottom), 1)

    for point in points:
        point.x, point.y = x_pixel(point.x), y_pixel(point.y)
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
        x_ticks=[(x_pixel(2.0**exponent), f"{2.0**exponent:g}") for exponent in exponents],
        y_ticks=[(y_pixel(tick), f"{tick:g}") for tick in _ticks(bottom, top)],
        titles=titles,
    )


def marker_box(point: Point) -> Box:
    """The area that the marker of a point covers."""
    return (point.x - RADIUS, point.y - RADIUS, point.x + RADIUS, point.y + RADIUS)


def label_box(label: tuple[float, float, str, str]) -> Box:
    """The area that a label covers; its y is the baseline of the text."""
    x, y, anchor, name = label
    width = len(name) * _CHARACTER
    left = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
    return (left, y - _LINE + 4, left + width, y + 4)


def overlap(first: Box, second: Box) -> bool:
    return (
        first[0] < second[2]
        and second[0] < first[2]
        and first[1] < second[3]
        and second[1] < first[3]
    )


def _place_labels(points: Sequence[Point]) -> None:
    """Places the label of each point, in order of `points`, where it is within the frame and covers
    no marker and no other label; without such a place the point gets no label."""
    taken = [marker_box(point) for point in points]
    for point in points:
        name = point.name if len(point.name) <= LABEL else point.name[: LABEL - 1] + "…"
        for label in _label_candidates(point, name):
            box = label_box(label)
            inside = (
                box[0] >= LEFT and box[2] <= WIDTH and box[1] >= 0 and box[3] <= HEIGHT - BOTTOM
            )
            if inside and not any(overlap(box, other) for other in taken):
                taken.append(box)
                point.label = label
                break


def _label_candidates(point: Point, name: str) -> Iterator[tuple[float, float, str, str]]:
    gap = RADIUS + 3
    for offset in (4, -6, 14):
        yield (point.x + gap, point.y + offset, "start", name)
        yield (point.x - gap, point.y + offset, "end", name)
    yield (point.x, point.y - gap - 2, "middle", name)
    yield (point.x, point.y + gap + 12, "middle", name)


def _ticks(low: float, high: float) -> list[float]:
    """Three to eight round numbers between two others."""
    min_step = (high - low) / 7
    power = 10.0 ** math.floor(math.log10(min_step))
    step = power * next(factor for factor in (1, 2, 2.5, 5, 10) if factor * power >= min_step)
    first = math.ceil(low / step)
    return [round(i * step, 10) for i in range(first, math.floor(high / step) + 1)]
