"""Pages of what others published, and of the survey's taxonomy: theirs, never mixed with ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from audiotok.errors import ResultsError
from audiotok.report.site.fronts import codec_page
from audiotok.report.site.pages import Pages
from audiotok.report.site.settings import Setting
from audiotok.results import published
from audiotok.results.results import Result

_TAXONOMY = "dates_taxonomy"
_KEYS = {  # a card's axis -> what the survey's table calls it
    "encoder_decoder": ("encoder", "decoder", "representation"),
    "quantization": ("quantization", "bitrate_F_fixed_A_adaptive"),
    "training_paradigm": ("objective", "auxiliary", "joint_training"),
    "streamability": ("streamable",),
    "domain": ("speech", "music", "audio"),
}


def read(results: Path) -> pd.DataFrame | None:
    """The published numbers that have a counterpart among our columns; None where there are none
    in these results."""
    folder = results / "published"
    return published.cells(folder) if (folder / "SOURCES.yaml").is_file() else None


def beside(results: Path) -> pd.DataFrame | None:
    """Our numbers beside published ones; None where nothing of ours was published by others."""
    if read(results) is None:
        return None
    try:
        return published.beside(results, folder=results / "published")
    except ResultsError:
        return None


def put(pages: Pages, theirs: pd.DataFrame | None, shown: Sequence[Setting], results: Path) -> None:
    """published.html with every table of others; taxonomy.html with the survey's and our cards."""
    folder = results / "published"
    names = [] if theirs is None else published.names(folder)
    tables = [published.load(name, folder) for name in names]
    pages.put("published.html", "published.html", tables=tables)
    survey = next((one for one in tables if one.attrs["name"] == _TAXONOMY), None)
    ours: dict[str, Result] = {}
    for setting in shown:
        for result in setting.group:
            if result.summary["codec"].get("taxonomy"):
                ours.setdefault(result.codec, result)
    rows = [
        {"name": name, "page": codec_page(name), "ours": True,
         "cells": [result.summary["codec"]["taxonomy"].get(key) for key in _KEYS]}
        for name, result in sorted(ours.items())
    ]  # fmt: skip
    for row in () if survey is None else survey.to_dict("records"):
        cells = [_axis(row, key) for key in _KEYS]
        rows.append({"name": row["tokenizer"], "page": None, "ours": False, "cells": cells})
    source = None if survey is None else survey.attrs["source"]
    pages.put("taxonomy.html", "taxonomy.html", rows=rows, axes=list(_KEYS), source=source)


def _axis(row: dict, key: str) -> str:
    """An axis of the survey in one cell."""
    if key == "domain":
        return ", ".join(name for name in _KEYS[key] if row.get(name) is True)
    if key == "encoder_decoder":
        return f"{row['encoder']} → {row['decoder']}, {row['representation']}"
    if key == "quantization":
        kind = {"F": "fixed", "A": "adaptive"}.get(row["bitrate_F_fixed_A_adaptive"], "")
        return ", ".join(filter(None, (row["quantization"], f"{kind} bitrate" if kind else "")))
    if key == "training_paradigm":
        extra = [] if row["auxiliary"] in ("-", None) else [str(row["auxiliary"])]
        joint = ["joint"] if row["joint_training"] is True else ["in stages"]
        return ", ".join([str(row["objective"]), *extra, *joint])
    return "yes" if row["streamable"] is True else "no"
