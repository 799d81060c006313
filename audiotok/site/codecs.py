"""The page of a codec, over all settings, and the survey's taxonomy of all codecs that we know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audiotok.results import Result, slug

SHOWN = (  # of the card: key, label
    ("family", "family"), ("description", "what it is"), ("sample_rate_in", "sample rate in, Hz"),
    ("sample_rate_out", "sample rate out, Hz"), ("channels", "channels"),
    ("frame_rate", "frames per second"), ("token_rate", "tokens per second"),
    ("bitrate", "bits per second"), ("codebook_sizes", "codebooks"), ("causal", "causal"),
    ("streamable", "streamable"), ("licence_code", "licence of the code"),
    ("licence_weights", "licence of the weights"), ("training_data", "trained on"),
    ("verified", "verified"), ("fingerprint", "fingerprint of the codebooks"),
)  # fmt: skip
AXES = ("encoder_decoder", "quantization", "training_paradigm", "streamability", "domain")


def codec_pages(
    found: Sequence[Result], suites: Sequence[dict[str, Any]], checks: Path
) -> list[dict[str, Any]]:
    """One page per name; the first result of a name says what its card is.

    Args:
        checks: folder of what `audiotok check` wrote.
    """
    pages: dict[str, dict[str, Any]] = {}
    for suite in suites:
        for result, row in zip(suite["results"], suite["rows"], strict=True):
            page = pages.setdefault(result.codec, _page(result, row, checks))
            page["settings"].append({
                "suite": suite, "row": row, "run": _run(result),
                "folder": "/".join(result.folder.parts[-3:]),
            })  # fmt: skip
    return [pages[name] for name in sorted(pages)]


def _page(result: Result, row: dict[str, Any], checks: Path) -> dict[str, Any]:
    codec = result.summary["codec"]
    weights = codec.get("weights") or {}
    card = [(label, _text(codec.get(key))) for key, label in SHOWN]
    return {
        "name": result.codec, "slug": slug(result.codec), "role": row["role"],
        "restricted": result.restricted, "card": [pair for pair in card if pair[1]],
        "taxonomy": codec.get("taxonomy") or {}, "facts": row["facts"], "settings": [],
        "weights": weights.get("repository"), "sha256": weights.get("sha256"),
        "check": _check(checks / f"{slug(result.codec)}.json", codec),
    }  # fmt: skip


def _check(path: Path, codec: dict[str, Any]) -> dict[str, Any] | None:
    """What `audiotok check` found of these very codebooks."""
    if not path.is_file():
        return None
    found = json.loads(path.read_bytes())
    return found if found.get("fingerprint") == codec.get("fingerprint") else None


def _run(result: Result) -> list[tuple[str, str]]:
    """Where the numbers come from."""
    run, packages = result.run, result.summary["packages"]
    git = run.get("git") or {}
    git = git if isinstance(git, str) else git.get("commit") or ""
    found = (
        ("measured", run.get("finished")), ("command", run.get("command")), ("commit", git),
        ("hardware", run.get("hardware")),
        ("packages", ", ".join(f"{k} {v}" for k, v in sorted(packages.items()) if v)),
        ("rows", f"sha256 {result.summary['rows_sha256'][:16]}…"),
    )  # fmt: skip
    return [(label, str(value)) for label, value in found if value]


def taxonomy(codecs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each codec that has one."""
    return [codec for codec in codecs if codec["taxonomy"]]


def _text(value: Any) -> str:
    if value is None or value == "" or value == []:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        if len(value) > 4 and len(set(map(str, value))) == 1:
            return f"{len(value)} × {value[0]}"
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
