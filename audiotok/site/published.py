"""Other people's numbers, for a page of their own: never mixed with ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas

from audiotok import published


def published_rows(results: Path) -> list[dict[str, Any]]:
    """Every published number that corresponds to one of our columns."""
    folder = results / "published"
    if not (folder / "SOURCES.yaml").is_file():
        return []
    found = published.cells(folder)
    return [
        {
            **row,
            "published": f"{row['published']:.4g}",
            "value": row["published"],
            "codebooks": "" if pandas.isna(row["codebooks"]) else f"{row['codebooks']:g}",
        }  # fmt: skip
        for row in found.to_dict("records")
    ]
