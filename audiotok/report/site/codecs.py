"""A page for each measured codec: its card, its numbers, and where each came from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from audiotok.report.site import published
from audiotok.report.site.fronts import codec_page
from audiotok.report.site.pages import Pages
from audiotok.report.site.settings import Setting
from audiotok.results.results import Result
from audiotok.system.names import part

_CARD = (  # key of a card, what it is
    ("family", "family"),
    ("role", "role"),
    ("sample_rate_in", "sample rate in, Hz"),
    ("sample_rate_out", "sample rate out, Hz"),
    ("channels", "channels"),
    ("frame_rate", "frame rate, Hz"),
    ("num_codebooks", "codebooks"),
    ("codebook_sizes", "codebook sizes"),
    ("strides", "strides"),
    ("token_rate", "tokens per second"),
    ("bitrate", "bitrate, bit/s"),
    ("causal", "causal"),
    ("streamable", "streamable"),
    ("lookahead", "lookahead, samples"),
    ("licence_code", "licence of the code"),
    ("licence_weights", "licence of the weights"),
    ("training_data", "trained on"),
    ("verified", "verified"),
    ("fingerprint", "fingerprint"),
)
_RUN = ("command", "finished", "hardware", "device")


def put(pages: Pages, shown: Sequence[Setting], theirs: Any, results: Path) -> None:
    """codecs/NAME.html for every codec, and codecs.html, which lists them."""
    by_name: dict[str, list[tuple[Setting, Result]]] = {}
    for setting in shown:
        for result in setting.group:
            by_name.setdefault(result.codec, []).append((setting, result))
    both = published.beside(results) if theirs is not None else None
    for name, found in sorted(by_name.items()):
        codec = found[0][1].summary["codec"]
        card = [(title, codec[key]) for key, title in _CARD if key in codec]
        pages.put(
            codec_page(name), "codec.html", result=found[0][1], codec=codec, card=card,
            found=[(setting, result, provenance(result)) for setting, result in found],
            links=_links(codec), beside=_beside(both, name), check=_check(results, name, codec),
        )  # fmt: skip
    listed = [(name, codec_page(name), found) for name, found in sorted(by_name.items())]
    pages.put("codecs.html", "codecs.html", listed=listed)


def provenance(result: Result) -> list[tuple[str, Any]]:
    """Where the numbers of a result came from: (what, value)."""
    run, summary = result.run, result.summary
    git = run.get("git") or {}
    commit = git.get("commit")
    if commit and git.get("dirty"):
        commit += ", with changes"
    details = [(key, run.get(key)) for key in _RUN]
    details += [("commit", commit), ("seed", summary["plan"].get("seed"))]
    details += [("data sha256", summary["data"]["sha256"])]
    details += [("rows sha256", summary.get("rows_sha256"))]
    details += [("packages", summary.get("packages"))]
    return [(key, value) for key, value in details if value is not None]


def _links(codec: dict[str, Any]) -> list[tuple[str, str]]:
    weights = codec.get("weights") or {}
    repository = weights.get("repository")
    if not repository:
        return []
    at = f"/tree/{weights['revision']}" if weights.get("revision") else ""
    return [(f"weights: {repository}", f"https://huggingface.co/{repository}{at}")]


def _check(results: Path, name: str, codec: dict[str, Any]) -> dict[str, Any] | None:
    """What `audiotok check` wrote of these very codebooks."""
    path = results / "checks" / f"{part(name)}.json"
    if not path.is_file():
        return None
    found = json.loads(path.read_bytes())
    return found if found.get("fingerprint") == codec.get("fingerprint") else None


def _beside(both: pd.DataFrame | None, name: str) -> list[dict[str, Any]]:
    return [] if both is None else both[both["codec"] == name].to_dict("records")
