"""One setting (suite, version, corpus) as what its page shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from audiotok import contamination
from audiotok.ranking import Ranking, rank
from audiotok.results import Result, arrow, columns, slug

_BESIDE = re.compile(r"_16k$|_aligned|_seed_|_diverged$|_k\d+$")  # the same in another way
AXES = ("bitrate", "entropy_bitrate", "token_rate")  # of the picture; what a codec spends
ROLES = {
    "ceiling": "ceiling",
    "given": "given",
    "neural": "codec",
    "baseline": "baseline",
    "floor": "floor",
}


def suite_page(group: Sequence[Result]) -> dict[str, Any]:
    """All that the page of a setting needs; `results` are those of its rows."""
    first = group[0].summary
    suite, data = first["suite"], first["data"]
    known = columns(group)
    tasks = list(dict.fromkeys(column["task"] for column in known.values()))
    rankings = {task: rank(group, task) for task in tasks}
    partial = data["limit"] is not None or bool(set(suite["tasks"]) - _asked(group[0]))
    clips = f"{data['clips']} clips" + (f", the first {data['limit']}" if data["limit"] else "")
    return {
        "slug": slug("-".join(group[0].folder.parent.parts[-2:])),
        "title": f"{suite['name']} v{suite['version']} on {data['name']}",
        "suite": suite["name"], "data": data["name"], "clips": clips, "partial": partial,
        "sha256": data["sha256"], "results": list(group),
        "tasks": [
            {"name": task, "columns": [name for name, c in known.items() if c["task"] == task]}
            for task in tasks
        ],
        "columns": {name: _column(name, column) for name, column in known.items()},
        "rows": [_row(result, known, rankings) for result in group],
        "axes": [name for name in AXES if name in known],
        "notes": [*contamination.notes(r.contamination for r in group), *_missing(group)],
    }  # fmt: skip


def _asked(result: Result) -> set[str]:
    return set(result.summary["plan"]["tasks"]) | set(result.summary["not_measured"])


def _column(name: str, column: dict[str, Any]) -> dict[str, Any]:
    better = {True: "higher", False: "lower", None: ""}[column["higher_is_better"]]
    return {
        "name": name, "label": name.replace("_", " "), "arrow": arrow(column).strip(),
        "unit": column["unit"], "better": better, "description": column["description"],
        "digits": column["digits"], "overview": bool(better) and not _BESIDE.search(name),
    }  # fmt: skip


def _row(
    result: Result, known: dict[str, dict], rankings: dict[str, Ranking | None]
) -> dict[str, Any]:
    codec = result.summary["codec"]
    incomplete = any(r is not None and result.codec in r.incomplete for r in rankings.values())
    return {
        "codec": result.codec, "slug": slug(result.codec), "role": ROLES[result.role],
        "contamination": result.contamination,
        "contamination_note": " ".join(contamination.notes([result.contamination])),
        "restricted": result.restricted,
        "incomplete": incomplete, "failed": len({f["clip"] for f in result.summary["failures"]}),
        "cells": {name: _cell(result.scores.get(name), known[name]) for name in known},
        "places": {
            name: r.columns[name][result.codec]
            for r in rankings.values() if r is not None
            for name in r.columns if result.codec in r.columns[name]
        },
        "facts": facts(codec, result),
    }  # fmt: skip


def facts(codec: dict[str, Any], result: Result) -> dict[str, Any]:
    """What the filters look at."""
    said = codec.get("taxonomy") or {}
    bitrate = (result.scores.get("bitrate") or {}).get("mean") or codec.get("bitrate")
    return {
        "bitrate": bitrate, "token_rate": codec.get("token_rate"),
        "sample_rate": codec.get("sample_rate_out"), "domain": said.get("domain") or "",
        "licence": codec.get("licence_weights") or codec.get("licence_code") or "",
        "streamable": "yes" if codec.get("streamable") else "no",
        "quantizer": (said.get("quantization") or "").split(",")[0],
    }  # fmt: skip


def _cell(score: dict[str, Any] | None, column: dict[str, Any]) -> dict[str, Any]:
    if score is None or score["mean"] is None:
        failed = score["failed"] if score else 0
        return {"text": "–", "value": None, "interval": "", "low": None, "high": None,
                "failed": failed}  # fmt: skip
    digits, ci95 = column["digits"], score["ci95"]
    low, high = ci95 or (None, None)
    return {
        "text": f"{score['mean']:.{digits}f}", "value": score["mean"], "failed": score["failed"],
        "interval": f"{low:.{digits}f} … {high:.{digits}f}" if ci95 else "", "low": low,
        "high": high,
    }  # fmt: skip


def _missing(group: Sequence[Result]) -> list[str]:
    """What was not measured, each reason once with its codecs."""
    reasons: dict[str, list[str]] = {}
    for result in group:
        for what, why in sorted(result.summary["not_measured"].items()):
            reasons.setdefault(f"{what} was not measured: {why}", []).append(result.codec)
    return list(reasons)
