"""The page of speed: every table in results/speed/, its goals, and rooflines drawn as SVG."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd

from audiotok.errors import ResultsError
from audiotok.report.site.pages import Pages
from audiotok.report.titles import title

_WIDE, _HIGH = 720, 380
_LEFT, _RIGHT, _BOTTOM, _TOP = 62, 30, 46, 14


def put(pages: Pages, folder: Path) -> None:
    """Writes speed.html; without measurements, it says "not measured"."""
    parts = []
    for path in sorted(folder.glob("*.csv")) if folder.is_dir() else ():
        try:
            frame = pd.read_csv(path)
            description = json.loads(path.with_suffix(".json").read_bytes())
        except (OSError, ValueError) as reason:
            raise ResultsError(
                f"{path} or its .json cannot be read: {reason}; restore both or remove both"
            ) from reason
        parts.append({
            "name": path.stem, "title": title(path.stem), "about": description,
            "goals": description.get("goals", []), "columns": list(frame.columns),
            "rows": frame.to_dict("records"),
            "rooflines": rooflines(frame, description.get("ceilings") or {}),
        })  # fmt: skip
    pages.put("speed.html", "speed.html", parts=parts)


def rooflines(frame: pd.DataFrame, ceilings: dict[str, float]) -> list[dict[str, Any]]:
    """Work against arithmetic intensity (Williams, Waterman and Patterson 2009); no drawing if
    the measured ceilings or the work are not known.

    Both roofs are the largest values that any measurement on the machine reached, so that no point
    lies above them. The copy of large arrays and PyTorch's matrix product are often slower, since
    small data stay in caches and the library may not use the widest instructions; they are drawn as
    a second line below the roofs.
    """
    copy, product = ceilings.get("copy_gb_per_s"), ceilings.get("fp32_product_gflop_per_s")
    if not copy or not product or not {"gflop", "mbytes", "ms"} <= set(frame.columns):
        return []
    done = frame[(frame[["gflop", "mbytes", "ms"]] > 0).all(axis=1)]
    points = [
        {
            "x": 1000 * row["gflop"] / row["mbytes"],
            "y": 1000 * row["gflop"] / row["ms"],
            "own": row["peer"] == "audiotok",
            "label": f"{row['peer']}, {row['work']}, {row['shape']}, N {row['N']}",
        }
        for row in done.to_dict("records")
    ]
    if not points:
        return []
    peak = max([product, *(point["y"] for point in points)])
    ridge = peak / copy  # left of it, a point above the line of the copy had its data in a cache
    bandwidth = max([copy, *(point["y"] / point["x"] for point in points if point["x"] < ridge)])
    low, high = _decades([point["x"] for point in points] + [peak / bandwidth])
    bottom, top = _decades([point["y"] for point in points] + [peak])

    def x_pixel(x: float) -> float:
        return round(_LEFT + (_WIDE - _LEFT - _RIGHT) * (math.log10(x) - low) / (high - low), 1)

    def y_pixel(y: float) -> float:
        height = _HIGH - _BOTTOM - _TOP
        return round(_HIGH - _BOTTOM - height * (math.log10(y) - bottom) / (top - bottom), 1)

    def line(bandwidth: float, peak: float) -> str:
        start = max(10.0**low, 10.0**bottom / bandwidth)
        vertices = [(start, start * bandwidth), (peak / bandwidth, peak), (10.0**high, peak)]
        return " ".join(f"{x_pixel(x)},{y_pixel(y)}" for x, y in vertices if x >= start)

    return [{
        "width": _WIDE, "height": _HIGH, "left": _LEFT, "floor": _HIGH - _BOTTOM, "top": _TOP,
        "right": _WIDE - _RIGHT, "copy": copy, "product": product, "bandwidth": bandwidth,
        "peak": peak, "roof": line(bandwidth, peak), "reference": line(copy, product),
        "points": [p | {"cx": x_pixel(p["x"]), "cy": y_pixel(p["y"])} for p in points],
        "x_ticks": [(x_pixel(10.0**e), _power(e)) for e in range(low, high + 1)],
        "y_ticks": [(y_pixel(10.0**e), _power(e)) for e in range(bottom, top + 1)],
    }]  # fmt: skip


def _decades(values: list[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _power(exponent: int) -> str:
    return f"{10.0**exponent:g}"
