"""Ranks of codecs within one setting, and their Pareto fronts. Imports no torch.

Codecs and classical baselines are ranked in the columns that a task names in `ranked`. In each
column the rank of a codec is 1 + the number of codecs that are significantly better on the same
clips: the 95 % interval of the paired difference excludes 0. Codecs without a significant
difference share a rank. A codec that is not significantly better than random codes (the floor)
shares the last rank. The rank in a task is the mean over its columns, for codecs that are ranked in
all of them.

If a codec has no value for a clip, the clip is left out for all codecs of that column. A codec is
not ranked in a column if its missing values would leave out more than MAX_LEFT_OUT of the clips;
for a number of the whole corpus, if any value is missing.

A codec does not gain by failing on hard clips. The worst-case mean is over all clips, where a
missing value is replaced by the worst value of any codec, random codes included, on that clip. A
codec with missing values is ranked behind every codec with a better worst-case mean, significant or
not, so that its rank is never better than with its own values; it is ahead of another codec, or on
a front, only if it is so by both means.

A front has only codecs that are clearly better than random codes: significantly, by CLEARLY of the
distance from random codes to the best codec, and not only in this column. Steady noise is better
than random codes in some measures (STOI counts its steady level) but not in most: a codec that is
better than random codes in fewer than half of the columns is on no front.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from audiotok import tasks
from audiotok.results import comparison, statistics
from audiotok.results.results import Result, columns

RANKED = ("neural", "baseline")  # roles
MAX_LEFT_OUT = 0.2
"""Largest share of the clips of a column that missing values may leave out."""
CLEARLY = 0.1
"""Share of the distance from random codes to the best codec that a codec on a front must reach."""


@dataclass(frozen=True)
class Standing:
    """The comparison of codecs in one column, on their common clips.

    Attributes:
        higher_is_better: the direction of the column.
        clips, left_out: numbers of clips compared, and left out because of a missing value.
        means: {codec: mean over the clips compared}.
        worst_case_means: {codec: worst-case mean over all clips}.
        incomplete: codecs that have missing values.
        above_floor: codecs that are better than random codes; all, if these were not measured.
        clearly_above: those of them that may be on a front.
        ranks: {codec: rank}; {} if no codec is better than random codes.
    """

    higher_is_better: bool
    clips: int
    left_out: int
    means: dict[str, float]
    worst_case_means: dict[str, float]
    incomplete: set[str]
    above_floor: set[str]
    clearly_above: set[str]
    ranks: dict[str, int]

    def front(self, cost: dict[str, float]) -> list[str]:
        """The Pareto front, cheapest first: codecs that are clearly better than random codes, and
        have a better mean than every codec of equal or lower cost.

        Args:
            cost: {codec: cost}; codecs without one are left out.
        """
        by_means, by_worst_case = (
            self._front(self.means, cost),
            self._front(self.worst_case_means, cost),
        )
        on_front = (by_means & by_worst_case) | ((by_means | by_worst_case) - self.incomplete)
        return sorted(on_front, key=lambda name: (cost[name], name))

    def _front(self, means: dict[str, float], cost: dict[str, float]) -> set[str]:
        sign = 1 if self.higher_is_better else -1
        points = [
            (name, cost[name], sign * means[name]) for name in cost.keys() & self.clearly_above
        ]
        return {
            name
            for name, own_cost, quality in points
            if not any(
                other_cost <= own_cost
                and other_quality >= quality
                and (other_cost, other_quality) != (own_cost, quality)
                for _, other_cost, other_quality in points
            )
        }


@dataclass(frozen=True)
class Ranking:
    """The ranks of one task.

    Attributes:
        standings: {ranked column: comparison}, for columns with at least two codecs.
        columns: {column: {codec: rank}}; without columns in which no codec is better than random
            codes.
        mean: {codec: mean rank over the columns}, of codecs that are ranked in all columns.
        unranked: {codec: {column: why it has no rank there}}.
    """

    standings: dict[str, Standing]
    columns: dict[str, dict[str, int]]
    mean: dict[str, float]
    unranked: dict[str, dict[str, str]]

    def notes(self) -> list[str]:
        """One line for each column with clips left out, or without ranked codecs."""
        lines = [
            f"{column}: {standing.left_out} of {standing.clips + standing.left_out} clips are left "
            "out of the ranks, because a codec has no value there"
            for column, standing in self.standings.items()
            if standing.left_out
        ]
        return lines + [
            f"{column}: no codec is better than random codes, so that none is ranked"
            for column in self.standings
            if column not in self.columns
        ]


def rank(group: Sequence[Result], task: str, attribute: str = "ranked") -> Ranking | None:
    """The ranks in one task, of results of one setting.

    None if the task names no column of these results, or fewer than two codecs were measured.

    Args:
        attribute: "ranked", or "quality" for the columns of Pareto fronts.
    """
    codecs = [result for result in group if result.role in RANKED and _has_rows(result)]
    floor = next((r for r in group if r.role == "floor" and _has_rows(r)), None)
    all_columns = columns(group)
    names = {
        name: all_columns[name]["higher_is_better"]
        for name in declared_columns(group, task, attribute)
        if all_columns[name]["higher_is_better"] is not None
    }
    if len(codecs) < 2 or not names:
        return None
    standings: dict[str, Standing] = {}
    ranks: dict[str, dict[str, int]] = {}
    unranked: dict[str, dict[str, str]] = {}
    for name, better in names.items():
        clips = {result.codec: _clips(result, name) for result in codecs}
        by_clip = any(name in r.rows and r.rows[name].notna().any() for r in codecs)
        included, reasons = _comparable(clips, MAX_LEFT_OUT if by_clip else 0.0)
        for codec, reason in reasons.items():
            unranked.setdefault(codec, {})[name] = reason
        compared = [result for result in codecs if result.codec in included]
        if len(compared) < 2 or (standing := _standing(compared, floor, name, better)) is None:
            continue
        standings[name] = standing
        if standing.ranks:
            ranks[name] = standing.ranks
    standings = _without_noise(standings)
    complete = [r.codec for r in codecs if r.codec not in unranked] if ranks else []
    mean = {
        name: float(np.mean([column_ranks[name] for column_ranks in ranks.values()]))
        for name in complete
    }
    return Ranking(standings, ranks, mean, unranked)


def _without_noise(standings: dict[str, Standing]) -> dict[str, Standing]:
    """Takes codecs that beat random codes in fewer than half of their columns off the fronts."""
    compared = Counter(codec for standing in standings.values() for codec in standing.means)
    better = Counter(codec for standing in standings.values() for codec in standing.above_floor)
    noise = {codec for codec, count in compared.items() if 2 * better[codec] < count}
    return {
        name: replace(standing, clearly_above=standing.clearly_above - noise)
        for name, standing in standings.items()
    }


def declared_columns(group: Sequence[Result], task: str, attribute: str) -> list[str]:
    """The columns of these results that a task names in `ranked`, `quality` or `costs`."""
    task_columns = [name for name, column in columns(group).items() if column["task"] == task]
    declared = []
    for name in tasks.declared(task, attribute):
        if ":" in task:  # the names of columns end in the option
            matching = [column for column in task_columns if column.startswith(f"{name}_")]
            declared += [min(matching, key=len)] if matching else []
        elif name in task_columns:
            declared.append(name)
    return declared


def _comparable(clips: dict[str, set[str]], max_left_out: float) -> tuple[set[str], dict[str, str]]:
    """The codecs that are ranked, and the reasons for the others. Codecs are added in order of
    their number of missing values while these leave out at most a share `max_left_out` of all
    clips."""
    all_clips = set().union(*clips.values())
    included, reasons, left_out = set(), {}, set()
    for codec in sorted(clips, key=lambda codec: (len(all_clips - clips[codec]), codec)):
        missing = all_clips - clips[codec]
        if missing == all_clips:
            reasons[codec] = "no value"
        elif len(left_out | missing) > max_left_out * len(all_clips):
            reasons[codec] = f"no value on {len(missing)} of {len(all_clips)} clips"
        else:
            included.add(codec)
            left_out |= missing
    return included, reasons if all_clips else {}


def _standing(
    compared: Sequence[Result], floor: Result | None, name: str, better: bool
) -> Standing | None:
    """None if there are fewer than two common clips, or the rows do not determine the means."""
    codecs = [result.codec for result in compared]
    clips = {result.codec: _clips(result, name) for result in compared}
    all_clips, common = set().union(*clips.values()), set.intersection(*clips.values())
    incomplete = {codec for codec in codecs if clips[codec] != all_clips}
    filled = (
        _filled(compared, floor, name, better=better, clips=all_clips) if incomplete else compared
    )
    paired, worst_case = _means(compared, name), _means(filled, name)
    if paired is None or worst_case is None or paired[0] < 2:
        return None
    means, worst_means = (
        dict(zip(codecs, map(float, numbers[1]), strict=True)) for numbers in (paired, worst_case)
    )
    ranks = dict(zip(codecs, statistics.ranks(paired[2], better), strict=True))
    if incomplete:
        sign = 1 if better else -1
        ahead = {
            c: {d for d in codecs if sign * (worst_means[d] - worst_means[c]) > 0} for c in codecs
        }
        complete = [result for result in filled if result.codec not in incomplete]
        complete_means = _means([_only(result, name, common) for result in complete], name)
        complete_ranks = statistics.ranks(complete_means[2], better) if complete_means else []
        for codec, rank_among in zip((r.codec for r in complete), complete_ranks, strict=True):
            failed_ahead = min(ranks[codec] - rank_among, len(ahead[codec] & incomplete))
            ranks[codec] = rank_among + max(failed_ahead, 0)
        ranks |= {codec: max(ranks[codec], 1 + len(ahead[codec])) for codec in incomplete}
    above_floor = _above_floor(compared, floor, name, better)
    if incomplete:
        incomplete_results = [result for result in filled if result.codec in incomplete]
        above_floor -= incomplete - _above_floor(incomplete_results, floor, name, better)
    ranks |= {codec: len(codecs) for codec in codecs if codec not in above_floor}
    return Standing(
        higher_is_better=better,
        clips=len(common),
        left_out=len(all_clips - common),
        means=means,
        worst_case_means=worst_means,
        incomplete=incomplete,
        above_floor=above_floor,
        clearly_above=above_floor & _far_from_floor(compared, floor, name, better),
        ranks=ranks if above_floor else {},
    )


def _above_floor(
    compared: Sequence[Result], floor: Result | None, name: str, better: bool
) -> set[str]:
    """The codecs that are better than random codes; all, if these were not measured."""
    all_codecs = {result.codec for result in compared}
    if floor is None or (with_floor := _means([*compared, floor], name)) is None:
        return all_codecs
    if statistics.ranks(with_floor[2], better)[-1] == 1 + len(all_codecs):
        return all_codecs
    against_floor = {result.codec: _means([result, floor], name) for result in compared}
    return {
        name
        for name, numbers in against_floor.items()
        if numbers and statistics.ranks(numbers[2], better)[1] > 1
    }


def _far_from_floor(
    compared: Sequence[Result], floor: Result | None, name: str, better: bool
) -> set[str]:
    """The codecs that reach CLEARLY of the distance from random codes to the best codec."""
    codecs = [result.codec for result in compared]
    if floor is None or (with_floor := _means([*compared, floor], name)) is None:
        return set(codecs)
    gain = (np.asarray(with_floor[1][:-1]) - with_floor[1][-1]) * (1 if better else -1)
    is_far = gain >= CLEARLY * max(gain.max(), 0.0)
    return {codec for codec, passes in zip(codecs, is_far, strict=True) if passes}


def _means(results: Sequence[Result], name: str) -> tuple[int, np.ndarray, np.ndarray] | None:
    return comparison.on_the_same_clips(results, name) or comparison.by_task(results, name)


def _filled(
    compared: Sequence[Result],
    floor: Result | None,
    name: str,
    *,
    better: bool,
    clips: set[str],
) -> list[Result]:
    """The results, with missing values on these clips replaced by the worst value of all codecs."""
    all_results = [*compared, *([floor] if floor is not None else [])]
    weight = comparison.weight_of(compared, name) or None

    def values(column: str) -> pd.DataFrame:
        series = [r.rows_by_clip.reindex(columns=[column])[column] for r in all_results]
        frame = pd.concat(series, axis=1)
        return frame[frame.index.isin(clips)]

    worst = values(name).min(axis=1) if better else values(name).max(axis=1)
    filled = []
    for result in compared:
        rows = result.rows_by_clip.reindex(result.rows_by_clip.index.union(worst.index))
        rows[name] = rows[name].fillna(worst)
        if weight is not None:
            rows[weight] = rows[weight].fillna(values(weight).max(axis=1))
        filled.append(_with_rows(result, name, weight, rows))
    return filled


def _only(result: Result, name: str, clips: set[str]) -> Result:
    """The result with the rows of these clips alone."""
    weight = comparison.weight_of([result], name) or None
    rows = result.rows_by_clip
    return _with_rows(result, name, weight, rows[rows.index.isin(clips)])


def _with_rows(result: Result, name: str, weight: str | None, rows: pd.DataFrame) -> Result:
    """The result with other rows, by clip, and their mean in one column."""
    used = rows[[name] if weight is None else [name, weight]].dropna()
    mean = float(np.average(used[name], weights=None if weight is None else used[weight]))
    scores = result.summary["scores"]
    summary = result.summary | {"scores": scores | {name: scores[name] | {"mean": mean}}}
    changed = replace(result, summary=summary)
    vars(changed)["rows"] = rows.reset_index(names="clip")  # the cached property
    return changed


def _clips(result: Result, column: str) -> set[str]:
    """The clips with a value of a codec; for a number of the whole corpus, the clips with any value
    of its task."""
    rows = result.rows
    if column not in rows or not (clips := rows["clip"][rows[column].notna()]).size:
        scores = result.scores
        if scores.get(column, {}).get("mean") is None:
            return set()
        task = scores[column]["task"]
        task_columns = [
            name for name, score in scores.items() if score["task"] == task and name in rows
        ]
        clips = rows["clip"][rows[task_columns].notna().any(axis=1)]
    return set(clips)


def _has_rows(result: Result) -> bool:
    return (result.folder / "rows.parquet").is_file()
