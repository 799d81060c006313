"""Speed: the tables that benchmarks/speed wrote, with their hardware, and their rooflines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

MOST_ROWS = 400


def found(results: Path) -> tuple[list[Path], list[dict[str, Any]]]:
    """Pictures, and tables with what measured them."""
    folder = results / "speed"
    pictures = sorted(folder.glob("*.png"))
    tables = []
    for path in sorted(folder.glob("*.csv")):
        about = path.with_suffix(".json")
        said = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else {}
        frame = pd.read_csv(path).dropna(axis=1, how="all")
        shown = frame.head(MOST_ROWS)
        tables.append({
            "name": path.stem, "hardware": said.get("hardware", "not said"),
            "date": said.get("date", ""), "head": list(frame.columns),
            "rows": [[_text(value) for value in row] for row in shown.itertuples(index=False)],
            "more": len(frame) - len(shown),
            "pictures": [p.name for p in pictures if p.stem.startswith(path.stem + "-roof")],
        })  # fmt: skip
    return pictures, tables


def _text(value: Any) -> str:
    if value != value or value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
