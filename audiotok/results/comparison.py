"""Paired comparison of two codecs on the same clips, column by column, with significance.

    audiotok.compare("wavtokenizer-mini", "opus-6k")    # a pandas table, one row per column

Each resample has the same clips of both codecs, so that clips that are difficult for both do not
widen the interval of their difference. Speakers are resampled, if the rows name them (see
`speakers` and `statistics`). Numbers of a corpus (a word error rate: all errors by all words) are
resampled with their weights.

Verdicts are after Holm's correction for all columns of the pair that are means of clips. A column
NAME_16k with the values of NAME (of sound at 16 kHz) has the verdict of NAME and does not count.
Verdicts on other numbers (times; equal error rates) use their interval alone, see `verdict_by`. For
numbers with several seeds the difference must be significant in each seed: two or three seeds are
too few for an interval over seeds.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from audiotok.errors import AudiotokError, ResultsError
from audiotok.results import results as stored
from audiotok.results import shares, speakers, statistics
from audiotok.results.results import Result, by_setting

if TYPE_CHECKING:
    from audiotok.tasks import Task

SIX_DIGITS = 1e-5  # relative precision of the numbers in summaries
TIE = "tie"
AT_16K = "_16k"  # end of the names of columns that are measured at 16 kHz, see `metrics.measure`
HOLM, INTERVAL = "Holm", "interval"
# Columns with details of another column; they have no verdict.
DETAIL = re.compile(r"_seed_(\d+|std)$|_diverged$")


def compare(
    a: str,
    b: str,
    *,
    results: str | Path = "results",
    suite: str | None = None,
    data: str | None = None,
) -> pd.DataFrame:
    """Compare two codecs in every setting where both were measured.

    Args:
        a, b: names of codecs as in the results, or of a family with only one codec there.
        results: folder of results.
        suite, data: only settings with these names.

    Returns:
        One row per setting and column: `suite`, `data`, `codec_a`, `codec_b` (full names), `task`,
        `column`, `unit`, `higher_is_better`, `digits`; `a`, `b` (means over the common clips) and
        `difference` (a - b) with its 95 % interval `low`, `high` (NaN: the rows do not determine
        one); `interval`, its method ("t over 5 speakers"); `p`, and `p_holm` after Holm's
        correction for the number of `comparisons`; `verdict_by`: "Holm", "interval" or missing;
        `seeds`, and `seeds_that_agree`: those in which the difference alone is significant; `n`
        common clips; `failed_a`, `failed_b`; `better`: a codec's name, "tie", or missing if there
        is no verdict. Times are compared only if both ran on the same hardware.

    Raises ResultsError: a name that was not measured, no setting in common, or mixed versions.
    """
    rows = [
        {
            "suite": _suite(first),
            "data": first.summary["data"]["name"],
            "codec_a": first.codec,
            "codec_b": second.codec,
            **row,
        }
        for first, second in pairs(a, b, results=results, suite=suite, data=data)
        for row in differences(first, second)
    ]
    return pd.DataFrame(rows)


def pairs(
    a: str, b: str, *, results: str | Path, suite: str | None, data: str | None
) -> list[tuple[Result, Result]]:
    """Results of both codecs, from the settings where both were measured."""
    groups = list(select(results, suite, data))
    measured = []
    for group in groups:
        first, second = named(group, a), named(group, b)
        if first and second:
            stored.refuse_mixed([first, second])
            measured.append((first, second))
    if not measured:
        _raise_not_measured(a, b, groups)
    return measured


def select(
    results: str | Path, suite: str | None = None, data: str | None = None
) -> Iterator[list[Result]]:
    """The results of each setting of this suite and data; None: of any."""
    all_results = stored.read_all(results)
    groups = [group for _, group in by_setting(all_results)]
    suites = {r.summary["suite"]["name"] for r in all_results} | set(map(_suite, all_results))
    corpora = {r.summary["data"]["name"] for r in all_results}
    for kind, name, available in ("suite", suite, suites), ("data", data, corpora):
        if name is not None and name not in available:
            names = ", ".join(sorted(available)) or "nothing"
            raise ResultsError(f"no result in {results} has the {kind} {name}: there is {names}")
    for group in groups:
        summary = group[0].summary
        if suite in (None, summary["suite"]["name"], _suite(group[0])) and data in (
            None,
            summary["data"]["name"],
        ):
            yield group


def named(group: Sequence[Result], name: str) -> Result | None:
    """The result of a codec, or of the only codec of a family, by name."""
    exact = [result for result in group if result.codec == name]
    family = [result for result in group if result.summary["codec"].get("family") == name]
    if exact or len(family) == 1:
        return (exact or family)[0]
    if family:
        members = ", ".join(result.codec for result in family)
        raise ResultsError(f"{name} is ambiguous ({members}): name one of them")
    return None


def _raise_not_measured(a: str, b: str, groups: Sequence[Sequence[Result]]) -> None:
    """Raises ResultsError: a codec was not measured, or no setting has both."""
    measured = sorted({result.codec for group in groups for result in group})
    for name in (a, b):
        if not any(named(group, name) for group in groups):
            similar = difflib.get_close_matches(name, measured, n=1)
            hint = f"did you mean {similar[0]}?" if similar else f"there are {', '.join(measured)}"
            raise ResultsError(f"{name} was not measured: {hint}")
    raise ResultsError(
        f"{a} and {b} were not measured on the same clips by the same suite: run `audiotok bench "
        f"--tokenizer {a},{b}`"
    )


def differences(
    first: Result, second: Result, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """The rows of `compare` for two results, with their verdicts.

    Args:
        columns: only these; verdicts are corrected for their number. None: all.
    """
    columns = first.scores if columns is None else columns
    rows = list(filter(None, (_row(first, second, column) for column in columns)))
    by_name = {row["column"]: row for row in rows if row["verdict_by"] == HOLM}
    repeats = {name for name in by_name if _repeats(first, second, name) in by_name}
    corrected = [row for name, row in by_name.items() if name not in repeats]
    for row, p in zip(corrected, statistics.holm([r["p"] for r in corrected]), strict=True):
        row["p_holm"] = p
    for name in repeats:
        by_name[name]["p_holm"] = by_name[name.removesuffix(AT_16K)]["p_holm"]
    for row in rows:
        ci95 = None if row["verdict_by"] is None else (row["low"], row["high"])
        p = row["p_holm"] if row["verdict_by"] == HOLM else None
        winner = statistics.verdict(ci95, row["higher_is_better"], p)
        if winner and row["seeds_that_agree"] < row["seeds"]:
            winner = 0
        row["better"] = {1: first.codec, -1: second.codec, 0: TIE, None: None}[winner]
        row["comparisons"] = len(corrected)
    return rows


def _repeats(first: Result, second: Result, column: str) -> str | None:
    """NAME, where the column is NAME_16k and has the same values for both; else None."""
    name = column.removesuffix(AT_16K)
    tables = [result.rows_by_clip for result in (first, second)]
    if name == column or any(name not in rows for rows in tables):
        return None
    same = all(np.array_equal(rows[name], rows[column], equal_nan=True) for rows in tables)
    return name if same else None


def _row(first: Result, second: Result, column: str) -> dict[str, Any] | None:
    """A column of both results, without the verdict; None if it cannot be compared or applies to no
    clip."""
    first_score, second_score = first.scores[column], second.scores.get(column)
    is_time = column in first.run["times"]
    if second_score is None or (
        is_time and first.run.get("hardware") != second.run.get("hardware")
    ):
        return None
    if not any(
        (first_score["n"], second_score["n"], first_score["failed"], second_score["failed"])
    ):
        return None
    means = [
        np.nan if score["mean"] is None else score["mean"] for score in (first_score, second_score)
    ]
    n, verdict_by, interval = min(first_score["n"], second_score["n"]), None, None
    difference = statistics.Estimate(means[0] - means[1], None, None)
    mean = numbers = None
    if not np.isnan(means).any():
        mean = on_the_same_clips([first, second], column)
        numbers = mean or by_task([first, second], column)
    if numbers is not None:
        n, means, replicates = numbers
        difference, interval = replicates.difference(0, 1), speakers.described(replicates.clusters)
    has_direction = first_score["higher_is_better"] is not None
    if difference.ci95 is not None and has_direction and not DETAIL.search(column):
        verdict_by = HOLM if mean is not None and not is_time else INTERVAL
    agreements = [_agrees(first, second, name, difference.value) for name in _seeds(first, column)]
    low, high = shares.within(column, difference.ci95, low=-1.0) or (np.nan, np.nan)
    return {
        "task": first_score["task"], "column": column, "unit": first_score["unit"],
        "higher_is_better": first_score["higher_is_better"], "digits": first_score["digits"],
        "a": means[0], "b": means[1], "difference": difference.value, "low": low, "high": high,
        "interval": interval, "p": np.nan if difference.p is None else difference.p,
        "p_holm": np.nan, "verdict_by": verdict_by,
        "seeds": len(agreements), "seeds_that_agree": sum(agreements),
        "n": n, "failed_a": first_score["failed"], "failed_b": second_score["failed"],
    }  # fmt: skip


def _seeds(result: Result, column: str) -> list[str]:
    """The columns of the single seeds of a column."""
    return [name for name in result.scores if re.fullmatch(rf"{re.escape(column)}_seed_\d+", name)]


def _agrees(first: Result, second: Result, column: str, difference: float) -> bool:
    """Whether the interval of this column excludes 0, with the sign of `difference`."""
    row = _row(first, second, column)
    return row is not None and (row["low"] > 0 if difference > 0 else row["high"] < 0)


def on_the_same_clips(
    results: Sequence[Result], column: str, clusters: Sequence[str | None] | None = None
) -> tuple[int, np.ndarray, statistics.Replicates] | None:
    """n, means (C,) and replicates of a column over the clips that all results have.

    Args:
        clusters: labels of the clips of the first result, in the order of its rows; None: from the
            rows.

    None if the rows do not determine the numbers in the summaries, or no clip is common.
    """
    weight = weight_of(results, column)
    if weight == "":
        return None
    tables = [table(result, column) for result in results]
    needed = [column] if weight is None else [column, weight]
    common = (
        pd.concat([rows[needed] for rows in tables], axis=1, join="inner").dropna().sort_index()
    )
    if common.empty:
        return None
    numbers = common.to_numpy(np.float64).reshape(len(common), len(tables), len(needed))
    weights = None if weight is None else numbers[:, :, 1]
    if clusters is None:
        clusters = speakers.by_clip(results, common.index)
    else:
        clusters = list(pd.Series(clusters, tables[0].index, dtype=object).reindex(common.index))
    return len(common), *statistics.paired_means(numbers[:, :, 0], weights, clusters=clusters)


def weight_of(results: Sequence[Result], column: str) -> str | None:
    """The column that weights the clips in the means of `column`; None: all weights are equal.

    "" if the rows do not determine the means in the summaries.
    """
    tables = [table(result, column) for result in results]
    if any(column not in values for values in (*tables, *(result.scores for result in results))):
        return ""
    means = [result.scores[column]["mean"] for result in results]
    return next(
        (
            weight
            for weight in _weights(results[0], column)
            if _gives_means(tables, column, weight, means)
        ),
        "",
    )


def by_task(
    results: Sequence[Result], column: str
) -> tuple[int, np.ndarray, statistics.Replicates] | None:
    """The same for numbers that a task computes from all its rows, such as an equal error rate;
    None if they need more than the rows, one result lacks the column, or this version has no such
    task."""
    from audiotok import tasks  # imports torch: the leaderboard does not use these intervals

    if any(column not in result.scores for result in results):
        return None
    try:
        task = tasks.get(results[0].scores[column]["task"])
    except AudiotokError:
        return None

    def number(rows: pd.DataFrame) -> float:
        return task.summarise(rows, []).get(column, np.nan)

    numbers = [number(table(result, column).reset_index()) for result in results]
    means = [result.scores[column]["mean"] for result in results]
    if not np.allclose(numbers, means, rtol=SIX_DIGITS):
        return None
    clips = table(results[0], column).index
    for result in results:
        clips = clips[clips.isin(_clips_used(table(result, column), task, column))]
    if clips.empty:
        return None
    frames = [table(result, column).loc[clips].reset_index() for result in results]
    clusters = statistics.Clusters(speakers.by_clip(results, clips), len(clips))
    counts = clusters.resamples(statistics.CORPUS_RESAMPLES).astype(int)
    picks = [np.repeat(np.arange(len(clips)), count) for count in counts]
    replicates = np.array([[number(frame.iloc[pick]) for frame in frames] for pick in picks])
    means = np.array([number(frame) for frame in frames])
    return len(clips), means, statistics.Replicates(means, replicates, clusters)


def _clips_used(rows: pd.DataFrame, task: Task, column: str) -> pd.Index:
    """The clips from which a number of the whole corpus is computed: those with a value in the
    column that the task names as its basis; without this column, those with any value of the task.
    """
    basis = task.basis(column)
    names = [basis] if basis in rows else [column_info.name for column_info in task.columns]
    return rows.index[rows.filter(names).notna().any(axis=1)]


def table(result: Result, column: str) -> pd.DataFrame:
    """The rows with this column, by clip."""
    return result.times_by_clip if column in result.run["times"] else result.rows_by_clip


def _weights(result: Result, column: str) -> list[str | None]:
    """Possible weights of the clips of a column: None, or another column of its task."""
    task = result.scores[column]["task"]
    return [None, *(name for name, score in result.scores.items() if score["task"] == task)]


def _gives_means(
    tables: Sequence[pd.DataFrame], column: str, weight: str | None, means: Sequence[float]
) -> bool:
    """Whether the means in the summaries are those of the rows with this weight."""
    for rows, mean in zip(tables, means, strict=True):
        if weight is not None and (weight not in rows or weight == column):
            return False
        values = rows[column].to_numpy(np.float64)
        weights = rows[weight].to_numpy(np.float64) if weight else np.ones(len(values))
        counted = ~(np.isnan(values) | np.isnan(weights))
        values, weights = values[counted], weights[counted]
        if not len(values) or weights.min() < 0 or not weights.sum():
            return False
        if not np.isclose(np.average(values, weights=weights), mean, rtol=SIX_DIGITS, atol=1e-9):
            return False
    return True


def _suite(result: Result) -> str:
    suite = result.summary["suite"]
    return f"{suite['name']} v{suite['version']}"
