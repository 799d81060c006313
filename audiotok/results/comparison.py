"""Two codecs on the same clips: which is better in what, and is it more than chance.

    audiotok.compare("wavtokenizer-mini", "opus-6k")    # a pandas table, one row per column

Each draw of the bootstrap takes the same clips of both codecs, so that what makes a clip hard for
both does not widen the interval of their difference. Numbers of a corpus (a word error rate: all
errors by all words) are drawn with the same weights that made them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audiotok.errors import AudiotokError, ResultsError
from audiotok.results import results as stored
from audiotok.results import statistics
from audiotok.results.results import Result, by_setting

ALIKE = 1e-5  # relative: summaries hold six digits
TIE = "tie"


def compare(
    a: str,
    b: str,
    *,
    results: str | Path = "results",
    suite: str | None = None,
    data: str | None = None,
) -> pd.DataFrame:
    """Two codecs in every setting where both were measured.

    Args:
        a, b: names of codecs as results have them; a family's name where it has but one there.
        results: folder of all results.
        suite, data: only these, by name.

    Returns:
        One row per setting and column: `suite`, `data`, `codec_a`, `codec_b` (full names), `task`,
        `column`, `unit`, `higher_is_better`, `digits`; `a`, `b` (means over the clips that both
        have) and `difference` (a - b) with its 95 % interval `low`, `high` (NaN: the rows do not
        determine one); `n` such clips; `failed_a`, `failed_b`; `better`: a codec's name, "tie"
        where the interval holds 0, missing where there is no interval or no direction. Times are
        there only where both ran on the same hardware.

    Raises ResultsError: a name that was not measured, no setting in common, or mixed versions.
    """
    rows = [
        {
            "suite": _suite(one),
            "data": one.summary["data"]["name"],
            "codec_a": one.codec,
            "codec_b": other.codec,
            **row,
        }
        for one, other in pairs(a, b, results=results, suite=suite, data=data)
        for row in _rows(one, other)
    ]
    return pd.DataFrame(rows)


def pairs(
    a: str, b: str, *, results: str | Path, suite: str | None, data: str | None
) -> list[tuple[Result, Result]]:
    """Results of both codecs, from the settings where both were measured."""
    groups = list(chosen(results, suite, data))
    found = []
    for group in groups:
        one, other = named(group, a), named(group, b)
        if one and other:
            stored.refuse_mixed([one, other])
            found.append((one, other))
    if not found:
        _explain(a, b, groups)
    return found


def chosen(
    results: str | Path, suite: str | None = None, data: str | None = None
) -> Iterator[list[Result]]:
    """The settings of this suite and data, all where they are None."""
    found = stored.read_all(results)
    groups = [group for _, group in by_setting(found)]
    for what, wanted, known in (
        ("suite", suite, {_suite(r) for r in found} | {r.summary["suite"]["name"] for r in found}),
        ("data", data, {r.summary["data"]["name"] for r in found}),
    ):
        if wanted is not None and wanted not in known:
            names = ", ".join(sorted(known)) or "nothing"
            raise ResultsError(f"no result in {results} is of {what} {wanted}: there is {names}")
    for group in groups:
        about = group[0].summary
        if suite in (None, about["suite"]["name"], _suite(group[0])) and data in (
            None,
            about["data"]["name"],
        ):
            yield group


def named(group: Sequence[Result], name: str) -> Result | None:
    """The result of that codec, or of the only member of a family of that name."""
    exact = [result for result in group if result.codec == name]
    family = [result for result in group if result.summary["codec"].get("family") == name]
    if exact or len(family) == 1:
        return (exact or family)[0]
    if family:
        members = ", ".join(result.codec for result in family)
        raise ResultsError(f"{name} may be {members}: name one of them")
    return None


def _explain(a: str, b: str, groups: Sequence[Sequence[Result]]) -> None:
    """Raises: which name was never measured, or that the two never met."""
    known = sorted({result.codec for group in groups for result in group})
    for name in (a, b):
        if not any(named(group, name) for group in groups):
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise ResultsError(f"{name} was not measured: {hint}")
    raise ResultsError(
        f"{a} and {b} were not measured on the same clips by the same suite: run `audiotok bench "
        f"--tokenizer {a},{b}`"
    )


def _rows(one: Result, other: Result) -> Iterator[dict[str, Any]]:
    same_machine = one.run.get("hardware") == other.run.get("hardware")
    scores = one.scores
    for column, about in scores.items():
        second = other.scores.get(column)
        if second is None or (column in one.run["times"] and not same_machine):
            continue
        counts = (about["n"], second["n"], about["failed"], second["failed"])
        if not any(counts):  # it applies to none of them
            continue
        row = {"task": about["task"], "column": column, "unit": about["unit"]}
        row |= {"higher_is_better": about["higher_is_better"], "digits": about["digits"]}
        known = about["mean"] is not None and second["mean"] is not None
        found = _drawn([one, other], column) if known else None
        if found is None:  # missing, or numbers of the corpus that its rows do not determine
            n, ci95 = min(about["n"], second["n"]), None
            mean_a, mean_b = (np.nan if s["mean"] is None else s["mean"] for s in (about, second))
        else:
            n, (mean_a, mean_b), drawn = found
            ci95 = statistics.interval(drawn[:, 0] - drawn[:, 1]) if n > 1 else None
        low, high = ci95 or (np.nan, np.nan)
        verdict = statistics.verdict(ci95, about["higher_is_better"])
        yield row | {
            "a": mean_a, "b": mean_b, "difference": mean_a - mean_b, "low": low, "high": high,
            "n": n, "failed_a": about["failed"], "failed_b": second["failed"],
            "better": {1: one.codec, -1: other.codec, 0: TIE, None: None}[verdict],
        }  # fmt: skip


def _drawn(found: Sequence[Result], column: str) -> tuple[int, np.ndarray, np.ndarray] | None:
    return on_the_same_clips(found, column) or _by_its_task(found, column)


def on_the_same_clips(
    found: Sequence[Result], column: str
) -> tuple[int, np.ndarray, np.ndarray] | None:
    """n, means (C,) and draws (R, C) of a column over the clips that all these results have.

    None where the rows do not determine the numbers in the summaries, or no clip is common.
    """
    weight = weight_of(found, column)
    if weight == "":
        return None
    tables = [table(result, column) for result in found]
    wanted = [column] if weight is None else [column, weight]
    common = pd.concat([one[wanted] for one in tables], axis=1, join="inner").dropna()
    if common.empty:
        return None
    numbers = common.to_numpy(np.float64).reshape(len(common), len(tables), len(wanted))
    weights = None if weight is None else numbers[:, :, 1]
    return len(common), *statistics.paired_means(numbers[:, :, 0], weights)


def weight_of(found: Sequence[Result], column: str) -> str | None:
    """The column whose numbers weigh the clips in the means of `column`; None: all count alike.

    "" where the rows do not determine the means in the summaries.
    """
    tables = [table(result, column) for result in found]
    if any(column not in one for one in (*tables, *(result.scores for result in found))):
        return ""
    means = [result.scores[column]["mean"] for result in found]
    return next((w for w in _weights(found[0], column) if _made_by(tables, column, w, means)), "")


def _by_its_task(found: Sequence[Result], column: str) -> tuple[int, np.ndarray, np.ndarray] | None:
    """The same for numbers that a task makes of all its rows, such as an equal error rate; None
    where they need more than the rows, or the task is not known here."""
    from audiotok import tasks  # they bring torch: the leaderboard does without these intervals

    try:
        task = tasks.get(found[0].scores[column]["task"])
    except AudiotokError:
        return None
    whole = [task.summarise(table(r, column), []).get(column, np.nan) for r in found]
    if not np.allclose(whole, [r.scores[column]["mean"] for r in found], rtol=ALIKE):
        return None
    first, *rest = (table(result, column) for result in found)
    clips = first.index
    for other in rest:
        clips = clips.intersection(other.index)
    rows = [table(result, column).loc[clips] for result in found]
    generator = np.random.default_rng(0)
    picks = generator.integers(0, len(clips), (statistics.CORPUS_RESAMPLES, len(clips)))
    drawn = [
        [task.summarise(one.iloc[pick], []).get(column, np.nan) for one in rows] for pick in picks
    ]
    means = [task.summarise(one, []).get(column, np.nan) for one in rows]
    return len(clips), np.array(means), np.array(drawn)


def table(result: Result, column: str) -> pd.DataFrame:
    """The rows that hold this column, by clip."""
    return result.times_by_clip if column in result.run["times"] else result.rows_by_clip


def _weights(result: Result, column: str) -> list[str | None]:
    """What may weigh the clips of a column: nothing, or another column of its task."""
    task = result.scores[column]["task"]
    return [None, *(name for name, score in result.scores.items() if score["task"] == task)]


def _made_by(
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
        if not np.isclose(np.average(values, weights=weights), mean, rtol=ALIKE, atol=1e-9):
            return False
    return True


def _suite(result: Result) -> str:
    suite = result.summary["suite"]
    return f"{suite['name']} v{suite['version']}"
