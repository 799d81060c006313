"""Ranks of codecs within one setting, over complete rows only. Imports no torch.

Ranked are codecs and classical baselines, not the ceiling, the floor or what a corpus gives. In
each column with a direction, a codec's rank is 1 + the number of codecs that are better than it on
the same clips: the 95 % interval of the paired difference excludes 0. Codecs that the
clips cannot tell apart share a rank. The rank of a task is the mean over its columns (a Borda
count), and only codecs whose row is complete have one: a value in every ranked column, on every
clip where any codec has one. So nobody gains by failing. Times are not ranked, for they belong to
their hardware; neither are numbers of a corpus that its rows do not determine (entropy, usage). A
column that repeats another one (16 kHz, of sound at 16 kHz) counts once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audiotok.results import comparison, statistics
from audiotok.results.results import Result, columns

RANKED = ("neural", "baseline")  # roles


@dataclass(frozen=True)
class Ranking:
    """The ranks of one task.

    Attributes:
        columns: {column: {codec: rank}}, of codecs with complete rows.
        mean: {codec: mean rank over the columns}.
        incomplete: {codec: the columns that it lacks, for all or some clips}.
    """

    columns: dict[str, dict[str, int]]
    mean: dict[str, float]
    incomplete: dict[str, list[str]]


def rank(group: Sequence[Result], task: str) -> Ranking | None:
    """Ranks in one task; None where fewer than two codecs can be compared."""
    codecs = [r for r in group if r.role in RANKED and (r.folder / "rows.parquet").is_file()]
    known = columns(codecs)
    declared = [
        name
        for name, column in known.items()
        if column["task"] == task
        and column["higher_is_better"] is not None
        and not any(name in result.run["times"] for result in codecs)
        and any(name in result.rows and result.rows[name].notna().any() for result in codecs)
    ]
    incomplete = _incomplete(codecs, declared)
    complete = [result for result in codecs if result.codec not in incomplete]
    if len(complete) < 2:
        return None
    ranks: dict[str, dict[str, int]] = {}
    ranked: list[np.ndarray] = []
    for name in declared:
        if (found := comparison.on_the_same_clips(complete, name)) is None or found[0] < 2:
            continue
        if any(np.array_equal(found[2], drawn) for drawn in ranked):
            continue
        ranked.append(found[2])
        places = statistics.ranks(found[2], known[name]["higher_is_better"])
        ranks[name] = {r.codec: place for r, place in zip(complete, places, strict=True)}
    if not ranks:
        return None
    mean = {r.codec: sum(of[r.codec] for of in ranks.values()) / len(ranks) for r in complete}
    return Ranking(ranks, mean, incomplete)


def _incomplete(codecs: Sequence[Result], declared: Sequence[str]) -> dict[str, list[str]]:
    """The columns that lack a value where another codec has one."""
    lacking: dict[str, list[str]] = {}
    for name in declared:
        clips = {r.codec: _clips(r, name) for r in codecs}
        wanted = set().union(*clips.values())
        for codec, has in clips.items():
            if wanted - has:
                lacking.setdefault(codec, []).append(name)
    return lacking


def _clips(result: Result, column: str) -> set[str]:
    """The clips for which a codec has a value."""
    rows = result.rows
    return set(rows["clip"][rows[column].notna()]) if column in rows else set()
