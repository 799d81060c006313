"""One suite on one corpus: its tables, boards and ranks, and the numbers of its plots."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from audiotok.report import samples
from audiotok.report.boards import LEGEND, Boards, bitrate, shown_rank
from audiotok.report.headline import CODECS, section_of
from audiotok.report.rates import curve_of
from audiotok.report.site import fronts
from audiotok.report.site.fronts import codec_page
from audiotok.report.titles import title
from audiotok.results import comparison, contamination, shares, speakers
from audiotok.results.ranking import Ranking, declared_columns
from audiotok.results.remarks import remarks
from audiotok.results.results import Result, columns
from audiotok.results.statistics import Clusters
from audiotok.system.names import part

QUALITY = "stoi"  # the column drawn first, if it was measured
_DETAILS = ("_16k", "_aligned")  # suffixes of columns that also exist without the suffix


@dataclass(frozen=True)
class Table:
    """One task: `names` of its columns, those among them that are details, and ranks."""

    task: str
    names: list[str]
    details: set[str]
    ranking: Ranking | None
    published: list[dict[str, Any]]

    def rank(self, name: str, codec: str) -> str:
        """The rank of a codec in a column, with = if it is shared; "" if there is none."""
        return shown_rank(self.ranking.columns.get(name, {}) if self.ranking else {}, codec)

    @property
    def has_ranks(self) -> bool:
        return bool(self.ranking and self.ranking.columns)

    def mean(self, codec: str) -> float | None:
        return self.ranking.mean.get(codec) if self.ranking else None

    def unranked(self, codec: str) -> str:
        """The columns in which a codec has no rank, with reasons; "" if it has one in all."""
        reasons = self.ranking.unranked.get(codec, {}) if self.ranking else {}
        return "; ".join(f"{column}: {reason}" for column, reason in reasons.items())

    @property
    def notes(self) -> list[str]:
        return self.ranking.notes() if self.ranking else []


@dataclass(frozen=True)
class Setting:
    """The content of the pages of one setting."""

    group: list[Result]
    boards: Boards
    key: str
    columns: dict[str, dict[str, Any]]
    tables: list[Table]
    payload: bytes

    @cached_property
    def figures(self) -> list[fronts.Figure]:
        """A drawing of each front."""
        return [fronts.figure(front, self.group, self.columns) for front in self.boards.main_fronts]

    @property
    def legend(self) -> list[str]:
        """The meaning of the marks of its boards."""
        return list(LEGEND[: 1 + bool(self.boards.costs)])

    @property
    def title(self) -> str:
        suite = self.suite
        corpus = title(self.group[0].summary["data"]["name"])
        return f"{title(suite['name'])} (v{suite['version']}) on {corpus}"

    @property
    def suite(self) -> dict[str, Any]:
        return self.group[0].summary["suite"]

    @property
    def corpus(self) -> dict[str, Any]:
        return self.group[0].summary["data"]

    @property
    def codec_count(self) -> int:
        return sum(result.role not in ("ceiling", "floor") for result in self.group)

    @property
    def page(self) -> str:
        return f"{self.key}.html"

    @property
    def compare(self) -> str:
        return f"compare-{self.key}.html"

    @property
    def data(self) -> str:
        return f"data/{self.key}.js"

    @property
    def intervals(self) -> str:
        return speakers.note(self.group)

    @property
    def notes(self) -> list[str]:
        data, marks = self.group[0].summary["data"], (r.contamination for r in self.group)
        texts = remarks(data["name"], columns(self.group)) + samples.notes(self.group)
        return texts + contamination.notes(marks)

    @property
    def samples(self) -> list[str]:
        """The columns of given reconstructions to show first."""
        return samples.headline(self.group)

    def machines(self, table: Table) -> dict[str, list[str]]:
        """{hardware: codecs} of the times in a table; {} where it has none."""
        machines: dict[str, list[str]] = {}
        for result in self.group:
            if any(name in result.run["times"] for name in table.names):
                machines.setdefault(result.run["hardware"], []).append(result.codec)
        return machines

    @property
    def restricted(self) -> bool:
        return any(result.restricted for result in self.group)

    @property
    def choices(self) -> dict[str, list[str]]:
        """The values of each filter."""
        facts = [facts_of(result) for result in self.group]
        return {
            key: sorted({str(fact[key]) for fact in facts if fact[key] not in (None, "")})
            for key in ("rate", "domain", "licence", "streamable", "quantizer")
        }


def describe(group: Sequence[Result], published_cells: pd.DataFrame | None) -> Setting:
    """The content of the pages of one setting."""
    group, by_name, boards = list(group), columns(group), Boards(group)
    tables = []
    for task in boards.tasks:
        names = _ordered(group, task, by_name)
        details = {name for name in names if _is_detail(name, by_name)}
        if len(details) == len(names):
            details = set()
        rows = _published(published_cells, [name for name in names if name not in details])
        tables.append(Table(task, names, details, boards.rankings[task], rows))
    by_name = {name: by_name[name] for table in tables for name in table.names}
    key = part("-".join(group[0].folder.parts[-3:-1]))
    return Setting(
        group=group,
        boards=boards,
        key=key,
        columns=by_name,
        tables=tables,
        payload=_payload(boards, by_name),
    )


def _ordered(group: Sequence[Result], task: str, by_name: dict[str, dict[str, Any]]) -> list[str]:
    """The columns of a task: those that are ranked, those that the suite puts first, the other
    numbers with a direction, and then details."""
    ranked = declared_columns(group, task, "ranked")
    leading = [*ranked, *group[0].summary["suite"].get("headline", ())]
    names = [name for name, column in by_name.items() if column["task"] == task]
    return sorted(names, key=lambda name: (
        leading.index(name) if name in leading else len(leading),
        _is_detail(name, by_name),
        names.index(name),
    ))  # fmt: skip


def facts_of(result: Result) -> dict[str, Any]:
    """The values by which rows are filtered."""
    codec = result.summary["codec"]
    taxonomy = codec.get("taxonomy") or {}
    streamable = codec.get("streamable")
    return {
        "codec": result.codec,
        "role": result.role,
        "bitrate": bitrate(result),
        "tokens": _measured(result, "token_rate") or codec.get("token_rate"),
        "rate": codec.get("sample_rate_out"),
        "domain": taxonomy.get("domain"),
        "licence": codec.get("licence_weights"),
        "streamable": None if streamable is None else ("yes" if streamable else "no"),
        "quantizer": taxonomy.get("quantization"),
    }


def _is_detail(name: str, by_name: dict[str, dict[str, Any]]) -> bool:
    base = name
    for suffix in _DETAILS * 2:
        base = base.removesuffix(suffix)
    return by_name[name]["higher_is_better"] is None or (base != name and base in by_name)


def _measured(result: Result, column: str) -> float | None:
    return (result.scores.get(column) or {}).get("mean")


def _published(cells: pd.DataFrame | None, names: Sequence[str]) -> list[dict[str, Any]]:
    """Published rows that have any of these columns: {"codec", "table", "corpus", "cells"}."""
    if cells is None:
        return []
    rows: dict[tuple, dict[str, Any]] = {}
    for cell in cells[cells["column"].isin(names)].to_dict("records"):
        codebooks = "" if pd.isna(cell["codebooks"]) else f"{cell['codebooks']:.0f}"
        row = rows.setdefault(
            (cell["table"], cell["theirs"], codebooks),
            {"codec": cell["theirs"], "codebooks": codebooks, "table": cell["table"],
             "corpus": cell["corpus"] or "corpus not stated", "cells": {}},
        )  # fmt: skip
        row["cells"][cell["column"]] = cell
    return list(rows.values())


def _payload(boards: Boards, by_name: dict[str, dict[str, Any]]) -> bytes:
    """A script with the means, intervals, fronts and rows of each clip, for the drawings."""
    group = boards.group
    clips = sorted(set().union(*(result.rows["clip"] for result in group if _has_rows(result))))
    index = pd.Index(clips)
    by_column = {}
    for name, column in by_name.items():
        better = column["higher_is_better"]
        with_values = [r for r in group if _has_rows(r) and name in r.rows]
        with_values = [r for r in with_values if _measured(r, name) is not None]
        weight = (
            comparison.weight_of(with_values, name) if with_values and better is not None else ""
        )
        by_column[name] = {
            "title": title(name), "unit": column["unit"], "digits": column["digits"],
            "better": better,
            "task": column["task"], "description": column["description"], "weight": weight,
            "share": shares.is_share(name),
        }  # fmt: skip
    needed = {name for name, column in by_column.items() if column["weight"] != ""}
    needed |= {column["weight"] for column in by_column.values() if column["weight"]}
    one_machine = len({result.run["hardware"] for result in group}) == 1
    codecs = []
    for result in group:
        scores = {
            name: [score["mean"], *(score["ci95"] or (None, None))]
            for name, score in result.scores.items()
            if score["mean"] is not None and (one_machine or name not in result.run["times"])
        }
        codecs.append({
            "name": result.codec, "title": result.marked_title, "role": result.role,
            "curve": curve_of(result), "page": codec_page(result.codec), "scores": scores,
            "rows": _rows(result, needed, index) if _has_rows(result) else {},
        })  # fmt: skip
    costs = [c for task in boards.tasks for c in declared_columns(group, task, "costs")]
    content = {"costs": costs, "quality": QUALITY, "columns": by_column, "pair": first_pair(group)}
    clusters = Clusters(speakers.by_clip(group, index), len(clips))
    content |= {"clips": clips, "clusters": clusters.codes.tolist(), "codecs": codecs}
    content["fronts"] = [
        {"cost": front.cost, "column": front.column, "codecs": front.codecs}
        for front in boards.fronts
    ]
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return f"window.audiotok = {text};\n".encode()


def first_pair(group: Sequence[Result]) -> list[str]:
    """The pair of codecs that is compared first: a neural one, if possible with its authors'
    weights, and a classical one (else another neural one) of the nearest bitrate."""
    rates = {r.codec: rate for r in group if (rate := bitrate(r) or 0) > 0 and _has_rows(r)}
    neural = [r.codec for r in group if r.role == "neural" and r.codec in rates]
    candidates = [r.codec for r in group if r.codec in neural and section_of(r) == CODECS] or neural
    partners = [r.codec for r in group if r.role == "baseline" and r.codec in rates] or neural
    pairs = [(first, second) for first in candidates for second in partners if first != second]
    if not pairs:
        return [r.codec for r in group if _has_rows(r) and r.role != "ceiling"][:2]
    return list(min(pairs, key=lambda pair: (abs(np.log(rates[pair[0]] / rates[pair[1]])), pair)))


def _rows(result: Result, needed: set[str], index: pd.Index) -> dict[str, list[float | None]]:
    """Each column as a list over all clips of the setting."""
    frame = result.rows.set_index("clip").reindex(index)
    return {
        name: [
            float(f"{value:.6g}") if np.isfinite(value) else None
            for value in frame[name].to_numpy(float)
        ]
        for name in sorted(needed & set(frame.columns))
    }


def _has_rows(result: Result) -> bool:
    return (result.folder / "rows.parquet").is_file()
