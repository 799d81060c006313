"""Clusters of clips that resemble each other: speakers, else sessions. Imports no torch.

Rows have the columns `speaker` and `session` if the corpus has them; results of earlier versions
have neither: then clips count as independent, and a note below the table states it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from audiotok.results import statistics
from audiotok.results.schema import CLUSTERS

if TYPE_CHECKING:
    from audiotok.results.results import Result


def labels(rows: pd.DataFrame) -> list[str | None]:
    """The cluster of each row, such as "speaker 1089": its speaker, else its session; None if
    neither is known."""
    clusters: list[str | None] = [None] * len(rows)
    for column in CLUSTERS:
        if column in rows:
            clusters = [
                f"{column} {cell}" if label is None and isinstance(cell, str) and cell else label
                for label, cell in zip(clusters, rows[column], strict=True)
            ]
    return clusters


def by_clip(results: Sequence[Result], clips: pd.Index) -> list[str | None]:
    """The clusters of these clips, from the first of these results whose rows have any."""
    clusters = next((r.clusters for r in results if r.clusters.notna().any()), None)
    return [None] * len(clips) if clusters is None else list(clusters.reindex(clips))


def units(clusters: Sequence[str | None]) -> str:
    """The units of an interval, as text: "5 speakers and 8 other clips"."""
    cluster_labels = {label for label in clusters if isinstance(label, str)}
    other_clips = sum(not isinstance(label, str) for label in clusters)
    if not cluster_labels:
        return f"{other_clips} clips of unknown speakers"
    if len(cluster_labels) == 1 and not other_clips:
        return f"{len(clusters)} clips of one {_kinds(cluster_labels)[0]}"
    parts = [_count(len(_of(cluster_labels, kind)), kind) for kind in _kinds(cluster_labels)]
    if other_clips:
        parts.append(_count(other_clips, "other clip"))
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def described(clusters: statistics.Clusters) -> str:
    """The method and the units of an interval: "t over 5 speakers"."""
    return f"{clusters.method} over {units(clusters.labels)}"


def note(results: Sequence[Result]) -> str:
    """A sentence about the intervals of results of one setting, printed below their tables."""
    clips = next((r.clusters.index for r in results), pd.Index([]))
    clusters = statistics.Clusters(by_clip(results, clips), len(clips))
    text = f"Intervals: {described(clusters)}"
    if not any(isinstance(label, str) for label in clusters.labels):
        return f"{text}; if several clips are of one speaker, they are too narrow"
    if "of one " in text:
        return f"{text}; they say nothing of others"
    return text


def _kinds(cluster_labels: set[str]) -> list[str]:
    return [kind for kind in CLUSTERS if _of(cluster_labels, kind)]


def _of(cluster_labels: set[str], kind: str) -> list[str]:
    return [label for label in cluster_labels if label.startswith(f"{kind} ")]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
