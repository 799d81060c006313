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
from audiotok.results import counts, statistics

if TYPE_CHECKING:
    from audiotok.tasks import Task
    from audiotok.tokens.tokens import Tokens

Entry = Mapping[str, Any]  # a line of the journal: index, clip, values, failures


def versions(task: Task) -> dict[str, int | str]:
    """Versions of a task and of its metrics, and the weights that it uses."""
    chosen = map(metrics.get, getattr(task, "chosen", ()))
    found = {m.name: m.version for m in chosen if m.missing() is None}
    return {"task": task.version} | found | task.identity


def frame(
    codec: str, entries: Sequence[Entry], tasks: Sequence[Task], others: Sequence[Task] = ()
) -> pd.DataFrame:
    """One row per clip: `codec`, `clip`, the columns of these tasks, then undeclared values.

    Undeclared values are texts (transcripts) and points of curves. Columns of the tasks `others`
    are left out.
    """
    declared = [column.name for task in tasks for column in task.columns]
    elsewhere = {column.name for task in others for column in task.columns}
    texts = {key for entry in entries for key in entry["values"]} - set(declared) - elsewhere
    rows = [{"codec": codec, "clip": entry["clip"]} | entry["values"] for entry in entries]
    table = pd.DataFrame(rows, columns=["codec", "clip", *declared, *sorted(texts)])
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
    found = {task.name: task.details(frame("", entries, [task]), tokens) for task in tasks}
    return {name: detail for name, detail in found.items() if detail}


def _scores_of(
    task: Task, entries: Sequence[Entry], tokens: Sequence[Tokens], seed: int
) -> dict[str, dict[str, Any]]:
    rows, failed_ = frame("", entries, [task]), failures(entries)
    whole = task.summarise(rows, tokens)
    again = _bootstrap(task, rows, seed) if whole else []
    found = {}
    for column in task.columns:
        values, basis = rows[column.name].dropna(), task.basis(column.name)
        failed = counts.failed(rows, failed_, task=task.name, column=column.name, basis=basis)
        if column.name in whole:
            drawn = [sample[column.name] for sample in again if column.name in sample]
            score = {"mean": whole[column.name], "ci95": statistics.interval(drawn)}
            score |= {"n": counts.counted(rows, basis), "failed": failed}
        else:
            score = statistics.mean_score(values, failed, seed)
        about = {key: value for key, value in asdict(column).items() if key != "name"}
        found[column.name] = score | about | {"task": task.name}
    return found


def _bootstrap(task: Task, rows: pd.DataFrame, seed: int) -> list[dict[str, float]]:
    """Numbers of the corpus for bootstrap samples of the rows, if rows alone determine them."""
    generator = np.random.default_rng(seed)
    n = len(rows)
    picks = (
        generator.integers(0, n, n) for _ in range(statistics.CORPUS_RESAMPLES if n > 1 else 0)
    )
    return [task.summarise(rows.iloc[pick], []) for pick in picks]


def failures(entries: Sequence[Entry]) -> list[dict[str, str]]:
    """All failures: clip, stage, message, and task and column if only these failed."""
    return [{"clip": entry["clip"]} | failure for entry in entries for failure in entry["failures"]]
