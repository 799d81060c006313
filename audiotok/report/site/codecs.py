"""A page for each codec, measured or not: status, card, player, and numbers with their origin."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from audiotok.codec.licences import restricts
from audiotok.report.citations import bibtex
from audiotok.report.headline import Headline, Row, kbit, short_name
from audiotok.report.site import published
from audiotok.report.site.fronts import codec_page
from audiotok.report.site.pages import Pages
from audiotok.report.site.settings import Setting
from audiotok.results import verified
from audiotok.results.published import SAMPLE
from audiotok.results.results import Result
from audiotok.system.names import part

_CARD = (  # key of a card, its title
    ("family", "family"),
    ("frame_rate", "frame rate, Hz"),
    ("num_codebooks", "codebooks"),
    ("codebook_sizes", "codebook sizes"),
    ("strides", "strides"),
    ("token_rate", "tokens per second"),
    ("bitrate", "bitrate, bit/s"),
    ("sample_rate_in", "sample rate in, Hz"),
    ("sample_rate_out", "sample rate out, Hz"),
    ("channels", "channels"),
    ("causal", "causal"),
    ("streamable", "streamable"),
    ("lookahead", "lookahead, samples"),
    ("training_data", "trained on"),
    ("fingerprint", "fingerprint"),
)
_RUN = ("command", "finished", "hardware", "device")
WRAPPED = {  # families whose networks are another library's
    "mimi": "transformers", "xcodec": "transformers", "xcodec2": "transformers",
    "neucodec": "transformers", "qwen3-tts": "transformers", "hf": "transformers",
    "lyra-v2": "TFLite", "s3tokenizer": "s3tokenizer",
}  # fmt: skip


@dataclass(frozen=True)
class Status:
    """How a codec was compared with its authors' implementation: a short text, and its kind
    ("proven", "partly", "other")."""

    text: str
    kind: str
    wrapped: str | None = None


@dataclass
class Entry:
    """A codec that was measured, can be loaded, or both."""

    name: str
    codec: dict[str, Any]
    status: Status
    measured: list[tuple[Setting, Result]] = field(default_factory=list)
    loadable: bool = False

    @property
    def page(self) -> str:
        return codec_page(self.name)

    @property
    def title(self) -> str:
        return short_name(self.name)

    @property
    def restricted(self) -> bool:
        return restricts(self.codec.get("licence_weights"))

    @property
    def is_sample(self) -> bool:
        return self.name.endswith(SAMPLE)

    @property
    def is_variant(self) -> bool:
        return bool(self.codec.get("options")) or "@" in self.name or self.is_sample


def loadable() -> list[dict[str, Any]]:
    """The cards of the codecs of this package, as results hold them. Imports torch."""
    from audiotok.codec import registry

    rates = ("frame_rate", "token_rate", "bitrate", "num_codebooks")
    return [
        card.model_dump(mode="json")
        | {key: getattr(card, key) for key in rates}
        | {"role": "floor" if card.name == "random" else card.kind}
        for card in registry.list_codecs()
    ]


def put(
    pages: Pages,
    shown_settings: Sequence[Setting],
    tables: Sequence[Headline],
    *,
    results: Path,
    cards: Sequence[Mapping[str, Any]] = (),
) -> None:
    """codecs/NAME.html for every codec, and codecs.html, which lists them."""
    entries: dict[str, Entry] = {}
    for setting in shown_settings:
        for result in setting.group:
            codec = result.summary["codec"]
            entry = Entry(result.codec, codec, status(codec, _record(results, codec)))
            entries.setdefault(result.codec, entry).measured.append((setting, result))
    for card in cards:
        entry = Entry(card["name"], dict(card), status(card, _record(results, card)))
        entries.setdefault(card["name"], entry).loadable = True
    rows = {row.codec: (table, row) for table in reversed(tables) for row in table.rows}
    comparison = published.beside(results)
    for name, entry in sorted(entries.items()):
        codec = entry.codec
        table, row = rows.get(name, (None, None))
        badge = badge_page(name) if row is not None and _badge(table, row) else None
        playable = [clip for clip in pages.listening["clips"] if name in clip["files"]]
        pages.put(
            entry.page, "codec.html", entry=entry, codec=codec, headline=_headline(table, row),
            card=[(title, codec[key]) for key, title in _CARD if key in codec], clips=playable,
            scored=[(setting, r, provenance(r)) for setting, r in entry.measured],
            links=_links(codec), beside=_published_rows(comparison, name),
            check=_check(results, name, codec),
            record=_record(results, codec), citation=bibtex(codec.get("family")),
            taxonomy=published.card_taxonomy(codec), badge=badge,
        )  # fmt: skip
        if row is not None and (message := _badge(table, row)):
            pages.put(badge_page(name), "badge.svg", message=message)
    sorted_entries = sorted(entries.values(), key=_order)
    pages.put("codecs.html", "codecs.html", listed=sorted_entries, taxonomy=published.card_taxonomy)


def _order(entry: Entry) -> tuple[bool, str, str]:
    """Neural codecs first, by family."""
    classical = entry.codec["role"] not in ("neural", "given")
    return classical, entry.codec.get("family") or entry.name, entry.name


def status(codec: Mapping[str, Any], record: Mapping[str, Any] | None = None) -> Status:
    """How a codec was compared with its authors' implementation.

    Args:
        codec: its card.
        record: of `audiotok verify`, of these codebooks; None: there is none.
    """
    wrapped = WRAPPED.get(codec.get("family") or "")
    statement = codec.get("verified") or ""
    ours = (codec.get("weights") or {}).get("bundled") or "@" in codec["name"]
    if record is not None:
        kind = "proven" if record["equal"] and not record["different"] else "partly"
        counts = ", ".join(f"{record[s]} {s}" for s in ("equal", "different", "unavailable"))
        text = "trained in this repository, verified" if ours else "verified on official weights"
        return Status(f"{text} ({counts})", kind, wrapped)
    if codec["role"] in ("ceiling", "floor"):
        anchors = {"ceiling": "original recording", "floor": "random tokens"}
        return Status(anchors[codec["role"]], "other")
    if codec["role"] == "baseline":
        return Status("classical, tested", "other")
    if codec["role"] == "given":
        return Status("published sound, not run here", "other")
    if ours:
        return Status("trained in this repository", "other")
    if "official models" in statement:
        return Status("verified on official weights", "proven", wrapped)
    if "random weights" in statement:
        return Status("compared on random weights only", "partly", wrapped)
    return Status("not verified", "other", wrapped)


def provenance(result: Result) -> list[tuple[str, Any]]:
    """The provenance of the numbers of a result: (name, value)."""
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


def _headline(table: Headline | None, row: Row | None) -> dict[str, Any] | None:
    """The headline numbers of a codec, with the corpus of its table."""
    if table is None or row is None or not row.cells:
        return None
    shown = [(c, row.cells[c.key]) for c in table.columns if c.key in row.cells]
    corpus = row.result.summary["data"]
    bits = table.corpus_of_bits if "lm_bitrate" in row.cells else None
    return {"row": row, "cells": shown, "corpus": corpus, "bits": bits, "domain": table.domain}


def badge_page(name: str) -> str:
    """The path of the badge of a codec in the site."""
    return f"badges/{part(name)}.svg"


def _badge(table: Headline, row: Row) -> str | None:
    """The text of a badge: the first headline number at the bitrate of the codec."""
    column = next((c for c in table.columns if c.key in row.cells), None)
    if column is None or row.bitrate is None or row.result.role in ("given", "floor", "ceiling"):
        return None
    value = f"{row.cells[column.key].value:.{column.digits}f}"
    return f"{column.title} {value} at {kbit(row.bitrate)} kbit/s"


def _links(codec: Mapping[str, Any]) -> list[tuple[str, str]]:
    weights = codec.get("weights") or {}
    if repository := weights.get("repository"):
        tree = f"/tree/{weights['revision']}" if weights.get("revision") else ""
        return [(f"weights: {repository}", f"https://huggingface.co/{repository}{tree}")]
    return [("weights", weights["url"])] if weights.get("url") else []


def _record(results: Path, codec: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of `audiotok verify` of a codec; None if there is no valid one of these
    codebooks."""
    path = results / verified.FOLDER / f"{part(codec['name'])}.json"
    if not path.is_file() or verified.invalid_reason(path) is not None:
        return None
    record = json.loads(path.read_bytes())
    fingerprint = codec.get("fingerprint")
    return (
        record if fingerprint is None or record.get("fingerprint") in (None, fingerprint) else None
    )


def _check(results: Path, name: str, codec: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of `audiotok check` of a codec; None if there is none of these codebooks."""
    path = results / "checks" / f"{part(name)}.json"
    if not path.is_file():
        return None
    record = json.loads(path.read_bytes())
    return record if record.get("fingerprint") == codec.get("fingerprint") else None


def _published_rows(comparison: pd.DataFrame | None, name: str) -> list[dict[str, Any]]:
    return [] if comparison is None else comparison[comparison["codec"] == name].to_dict("records")
