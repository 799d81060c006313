"""The numbers of every pair of codecs in a setting, for the page that compares two."""

from __future__ import annotations

import itertools
import json
from typing import Any

from audiotok import comparison, statistics

MOST = 24  # codecs of a setting that are compared; beyond, the first ones by name


def pair_script(suite: dict[str, Any]) -> bytes:
    """JavaScript that a page loads from the disk, where it may not fetch: values of every clip, and
    of every pair the difference of the means with its 95 % interval."""
    chosen = [
        result
        for result in suite["results"]
        if result.role in ("neural", "baseline") and (result.folder / "rows.parquet").is_file()
    ][:MOST]
    metrics, clips = {}, {}
    for name, column in suite["columns"].items():
        if not column["better"] or not all(name in result.rows for result in chosen):
            continue
        found = comparison.on_the_same_clips(chosen, name) if len(chosen) > 1 else None
        if found is None or found[0] < 2:
            continue
        _, means, drawn = found
        metrics[name] = {
            "means": [_short(mean) for mean in means],
            "pairs": {
                f"{a},{b}": [_short(x) for x in statistics.interval(drawn[:, a] - drawn[:, b])]
                for a, b in itertools.combinations(range(len(chosen)), 2)
            },
        }
        clips[name] = [
            dict(zip(result.rows["clip"], map(_short, result.rows[name]), strict=True))
            for result in chosen
        ]
    content = {
        "codecs": [result.codec for result in chosen],
        "columns": {name: suite["columns"][name] for name in metrics},
        "metrics": metrics, "clips": clips,
    }  # fmt: skip
    return f"window.AUDIOTOK = {json.dumps(content, sort_keys=True)};\n".encode()


def _short(value: float) -> float | None:
    return None if value != value else float(f"{value:.5g}")
