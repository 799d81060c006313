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
    """The published numbers that have a counterpart among our columns; None where there are none
    in these results."""
    folder = results / "published"
    return published.cells(folder) if (folder / "SOURCES.yaml").is_file() else None


def beside(results: Path) -> pd.DataFrame | None:
    """Our numbers beside published ones; None where none of ours has a published counterpart."""
    if read(results) is None:
        return None
    try:
        return published.beside(results, folder=results / "published")
    except ResultsError:
        return None


def put(
    pages: Pages, published_cells: pd.DataFrame | None, shown: Sequence[Setting], results: Path
) -> None:
    """published.html with all published tables; taxonomy.html with our codecs and the survey's."""
    folder = results / "published"
    names = [] if published_cells is None else published.names(folder)
    tables = [published.load(name, folder) for name in names]
    pages.put("published.html", "published.html", tables=tables)
    survey = next((one for one in tables if one.attrs["name"] == _TAXONOMY), None)
    ours: dict[str, dict[str, str]] = {}
    for setting in shown:
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
    """{axis: value} of a card in the notation of the pages; {} where the card states none."""
    stated = codec.get("taxonomy") or {}
    if not stated:
        return {}
    sides = [
        [word.strip() for word in side.split(",", 1)]
        for side in str(stated.get("encoder_decoder") or "").split("->")
    ]
    nets = [side[0] for side in sides]
    kinds = [_REPRESENTATIONS.get(side[-1], side[-1]) for side in sides if len(side) > 1]
    quantizer, _, rate = str(stated.get("quantization") or "").partition(",")
    axes = {
        "encoder": nets[0],
        "decoder": nets[-1] if len(nets) > 1 else "",
        "representation": " → ".join(dict.fromkeys(kinds)),
        "quantizer": quantizer.strip(),
        "bitrate": rate.strip().lower(),
        "training": stated.get("training_paradigm"),
        "streamable": stated.get("streamability"),
        "domain": stated.get("domain"),
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
        "training": ", ".join(str(one) for one in training if one == one and one),
        "streamable": "yes" if row["streamable"] is True else "no",
        "domain": ", ".join(n for n in ("speech", "music", "audio") if row.get(n) is True),
    }
    return {axis: str(v) for axis, v in axes.items() if v and v == v and v != "-"}
