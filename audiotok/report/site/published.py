"""Pages of published tables, and of the taxonomy: published numbers are never mixed with ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from audiotok.errors import ResultsError
from audiotok.report.site.fronts import codec_page
from audiotok.report.site.pages import Pages
from audiotok.report.site.settings import Setting
from audiotok.results import published

_TAXONOMY = "dates_taxonomy"
AXES = (
    "encoder", "decoder", "representation", "quantizer", "bitrate", "training", "streamable",
    "domain",
)  # fmt: skip
_REPRESENTATIONS = {
    "T": "time", "Time": "time", "T-F": "time-frequency", "Time-Freq": "time-frequency",
}  # fmt: skip


def read(results: Path) -> pd.DataFrame | None:
    """The published numbers with a corresponding column of audiotok; None if the folder of results
    has no published tables."""
    folder = results / "published"
    return published.cells(folder) if (folder / "SOURCES.yaml").is_file() else None


def beside(results: Path) -> pd.DataFrame | None:
    """Our numbers with the published ones; None if no number of ours has a published
    counterpart."""
    if read(results) is None:
        return None
    try:
        return published.beside(results, folder=results / "published")
    except ResultsError:
        return None


def put(
    pages: Pages,
    published_cells: pd.DataFrame | None,
    shown_settings: Sequence[Setting],
    results: Path,
) -> None:
    """published.html with all published tables; taxonomy.html with our codecs and the survey's."""
    folder = results / "published"
    names = [] if published_cells is None else published.names(folder)
    tables = [published.load(name, folder) for name in names]
    pages.put("published.html", "published.html", tables=tables)
    survey = next((table for table in tables if table.attrs["name"] == _TAXONOMY), None)
    ours: dict[str, dict[str, str]] = {}
    for setting in shown_settings:
        for result in setting.group:
            if taxonomy := card_taxonomy(result.summary["codec"]):
                ours.setdefault(result.codec, taxonomy)
    rows = [
        {"name": name, "page": codec_page(name), "cells": taxonomy}
        for name, taxonomy in sorted(ours.items())
    ]
    for row in () if survey is None else survey.to_dict("records"):
        rows.append({"name": row["tokenizer"], "page": None, "cells": survey_taxonomy(row)})
    source = None if survey is None else survey.attrs["source"]
    pages.put("taxonomy.html", "taxonomy.html", rows=rows, axes=AXES, source=source)


def card_taxonomy(codec: Mapping[str, Any]) -> dict[str, str]:
    """{axis: value} of a card in the notation of the pages; {} if the card states none."""
    taxonomy = codec.get("taxonomy") or {}
    if not taxonomy:
        return {}
    sides = [
        [word.strip() for word in side.split(",", 1)]
        for side in str(taxonomy.get("encoder_decoder") or "").split("->")
    ]
    networks = [side[0] for side in sides]
    representations = [_REPRESENTATIONS.get(side[-1], side[-1]) for side in sides if len(side) > 1]
    quantizer, _, rate = str(taxonomy.get("quantization") or "").partition(",")
    axes = {
        "encoder": networks[0],
        "decoder": networks[-1] if len(networks) > 1 else "",
        "representation": " → ".join(dict.fromkeys(representations)),
        "quantizer": quantizer.strip(),
        "bitrate": rate.strip().lower(),
        "training": taxonomy.get("training_paradigm"),
        "streamable": taxonomy.get("streamability"),
        "domain": taxonomy.get("domain"),
    }
    return {axis: str(value) for axis, value in axes.items() if value}


def survey_taxonomy(row: Mapping[str, Any]) -> dict[str, str]:
    """{axis: value} of a row of the survey's table, in the notation of the pages."""
    training = [row["objective"]] + (
        [row["auxiliary"]] if row["auxiliary"] not in ("-", "") else []
    )
    axes = {
        "encoder": row["encoder"],
        "decoder": row["decoder"],
        "representation": _REPRESENTATIONS.get(row["representation"], row["representation"]),
        "quantizer": row["quantization"],
        "bitrate": {"F": "fixed", "A": "adaptive"}.get(row["bitrate_F_fixed_A_adaptive"]),
        "training": ", ".join(str(part) for part in training if part == part and part),
        "streamable": "yes" if row["streamable"] is True else "no",
        "domain": ", ".join(name for name in ("speech", "music", "audio") if row.get(name) is True),
    }
    return {
        axis: str(value)
        for axis, value in axes.items()
        if value and value == value and value != "-"
    }
