"""Rows, times and scores of one codec from the entries of a journal. Imports no torch.

If a column failed for a clip, it is missing in that row and counted as failed. If it does not apply
to the clip (no text, no tokens), it is missing and not counted; see `audiotok.results.counts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from audiotok import metrics
from audiotok.results import counts, shares, speakers, statistics
from audiotok.results.schema import CLUSTERS

if TYPE_CHECKING:
    from audiotok.tasks import Task
    from audiotok.tokens.tokens import Tokens

# A line of the journal (index, clip, values, failures), and the speaker and session of its clip.
Entry = Mapping[str, Any]


def versions(task: Task) -> dict[str, int | str]:
    """Versions of a task and of its metrics, and the weights that it uses."""
    chosen = map(metrics.get, getattr(task, "chosen", ()))
    metric_versions = {m.name: m.version for m in chosen if m.missing() is None}
    return {"task": task.version} | metric_versions | task.identity


def frame(
    codec: str, entries: Sequence[Entry], tasks: Sequence[Task], excluded: Sequence[Task] = ()
) -> pd.DataFrame:
    """One row per clip: `codec`, `clip`, `speaker` and `session` where any clip has one, the
    columns of these tasks, then undeclared values.

    Undeclared values are texts (transcripts) and points of curves. Columns of the tasks `excluded`
    are left out.
    """
    declared = [column.name for task in tasks for column in task.columns]
    excluded_columns = {column.name for task in excluded for column in task.columns}
    texts = {key for entry in entries for key in entry["values"]} - set(declared) - excluded_columns
    cluster_columns = [name for name in CLUSTERS if any(entry.get(name) for entry in entries)]
    leading = ["clip", *cluster_columns]
    rows = [
        {"codec": codec} | {name: entry.get(name) for name in leading} | entry["values"]
        for entry in entries
    ]
    table = pd.DataFrame(rows, columns=["codec", *leading, *declared, *sorted(texts)])
    return table.astype(dict.fromkeys(declared, "float64"))


def scores(
    entries: Sequence[Entry], tasks: Sequence[Task], tokens: Sequence[Tokens], seed: int
) -> dict[str, dict[str, Any]]:
    """The score of each column of these tasks, as in `results.Result.scores`."""
    return {
        column: score
        for task in tasks
        for column, score in _scores_of(task, entries, tokens, seed).items()
    }


def details(
    entries: Sequence[Entry], tasks: Sequence[Task], tokens: Sequence[Tokens]
) -> dict[str, dict[str, Any]]:
    """The details of each of these tasks, by name; tasks without details are left out."""
    by_task = {task.name: task.details(frame("", entries, [task]), tokens) for task in tasks}
    return {name: detail for name, detail in by_task.items() if detail}


def _scores_of(
    task: Task, entries: Sequence[Entry], tokens: Sequence[Tokens], seed: int
) -> dict[str, dict[str, Any]]:
    rows, all_failures = frame("", entries, [task]), failures(entries)
    scored = rows[[column.name for column in task.columns]].notna().any(axis=1)
    whole = task.summarise(rows, tokens)
    labels = np.array(speakers.labels(rows), dtype=object)
    estimates, corpus_clusters = corpus_estimates(task, rows[scored], whole, seed)
    column_scores = {}
    for column in task.columns:
        values, basis = rows[column.name].dropna(), task.basis(column.name)
        failed = counts.failed(rows, all_failures, task=task.name, column=column.name, basis=basis)
        if column.name in whole:
            clusters = corpus_clusters
            score = {"mean": whole[column.name], "ci95": estimates[column.name].ci95}
            score |= {"n": counts.counted(rows, basis), "failed": failed}
        else:
            clusters = statistics.Clusters(labels[values.index], len(values))
            score = statistics.mean_score(values, failed, seed, clusters.labels)
        score["ci95"] = shares.within(column.name, score["ci95"])
        score["interval"] = speakers.described(clusters) if score["ci95"] else None
        description = {key: value for key, value in asdict(column).items() if key != "name"}
        column_scores[column.name] = score | description | {"task": task.name}
    return column_scores


def corpus_estimates(
    task: Task, rows: pd.DataFrame, whole: Mapping[str, float], seed: int
) -> tuple[dict[str, statistics.Estimate], statistics.Clusters]:
    """The intervals of numbers of the corpus, and the clusters that were resampled.

    Args:
        rows: those in which the task has any value.
        whole: {column: number}, from `task.summarise` of these rows. Numbers that need the tokens
            get no interval.
    """
    clusters = statistics.Clusters(speakers.labels(rows), len(rows))
    replicates = []
    if whole and len(rows):
        draws = clusters.resamples(statistics.CORPUS_RESAMPLES, seed).astype(int)
        picks = (np.repeat(np.arange(len(rows)), times) for times in draws)
        replicates = [task.summarise(rows.iloc[pick], []) for pick in picks]
    resampled = {name: [numbers.get(name, np.nan) for numbers in replicates] for name in whole}
    return {
        name: statistics.estimate(value, resampled[name], clusters) for name, value in whole.items()
    }, clusters


def failures(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """All failures: clip, stage, message, and task and column if only these failed."""
    return [{"clip": entry["clip"]} | failure for entry in entries for failure in entry["failures"]]
