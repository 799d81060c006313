"""Ranks of codecs within one setting, and the Pareto fronts that they are on. Imports no torch.

Ranked are codecs and classical baselines, in the columns that a task names in `ranked`. In each
column a codec's rank is 1 + the number of codecs that are better than it on the same clips: the
95 % interval of the paired difference excludes 0. Codecs that the clips cannot tell apart share a
rank. A codec that they cannot tell from random codes (the floor) shares the last rank. The rank of
a task is the mean over its columns, of the codecs that are ranked in all of them.

A clip without a value of some codec is left out for all codecs of that column. A codec is not
ranked in a column where it lacks so many values that more than MOST_LEFT_OUT of the clips would be
left out; in a number that only all clips together give, where it lacks any.

Nobody gains by failing on hard clips. A second mean is made of all clips, in which a missing value
counts as the worst that any codec, random codes included, has on that clip. A codec that lacks
values is ranked behind every codec with a better second mean, certain or not, so that its rank is
never better than with its own values; and it is ahead of another codec, or on a front, only if it
is so by both means.

On a front are only codecs that are clearly better than random codes: certainly, by CLEARLY of the
way from random codes to the best codec, and not in this column alone. Steady noise beats random
codes in some measures (STOI counts its steady level) but not in most: what is better than they are
in fewer than half of the columns is on no front.
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
MOST_LEFT_OUT = 0.2
"""Share of the clips of a column that may be left out, because some codec has no value there."""
CLEARLY = 0.1
"""Share of the way from random codes to the best codec that a codec on a front has gone."""


@dataclass(frozen=True)
class Standing:
    """The codecs that are compared in one column, on the clips that all of them have.

    Attributes:
        higher_is_better: the direction of the column.
        clips, left_out: numbers of clips compared, and left out because a codec has no value there.
        means: {codec: mean over the clips compared}.
        charged: {codec: mean over all clips, where a missing value is the worst of the clip}.
        lacking: codecs that have missing values.
        above_floor: codecs that are better than random codes; all, where these were not measured.
        clearly_above: those of them that may be on a front.
        ranks: {codec: rank}; {} where no codec is better than random codes.
    """

    higher_is_better: bool
    clips: int
    left_out: int
    means: dict[str, float]
    charged: dict[str, float]
    lacking: set[str]
    above_floor: set[str]
    clearly_above: set[str]
    ranks: dict[str, int]

    def front(self, cost: dict[str, float]) -> list[str]:
        """The Pareto front, cheapest first: codecs that are clearly better than random codes, and
        by their means better than every codec of equal or lower cost.

        Args:
            cost: {codec: cost}; codecs without one are left out.
        """
        found, charged = self._front(self.means, cost), self._front(self.charged, cost)
        on_front = (found & charged) | ((found | charged) - self.lacking)
        return sorted(on_front, key=lambda name: (cost[name], name))

    def _front(self, means: dict[str, float], cost: dict[str, float]) -> set[str]:
        sign = 1 if self.higher_is_better else -1
        points = [
            (name, cost[name], sign * means[name]) for name in cost.keys() & self.clearly_above
        ]
        return {
            name
            for name, own, quality in points
            if not any(
                other <= own and better >= quality and (other, better) != (own, quality)
                for _, other, better in points
            )
        }


@dataclass(frozen=True)
class Ranking:
    """The ranks of one task.

    Attributes:
        standings: of each ranked column in which at least two codecs can be compared.
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
        """One line for each column of which not all clips or no codecs are ranked."""
        found = [
            f"{column}: {one.left_out} of {one.clips + one.left_out} clips are left out of the "
            "ranks, because a codec has no value there"
            for column, one in self.standings.items()
            if one.left_out
        ]
        return found + [
            f"{column}: no codec is better than random codes, so that none is ranked"
            for column in self.standings
            if column not in self.columns
        ]


def rank(group: Sequence[Result], task: str, attribute: str = "ranked") -> Ranking | None:
    """Ranks in one task of results of one setting.

    None where the task names no column of these results, or fewer than two codecs were measured.

    Args:
        attribute: "quality": in the columns that fronts are drawn of.
    """
    codecs = [result for result in group if result.role in RANKED and _has_rows(result)]
    floor = next((r for r in group if r.role == "floor" and _has_rows(r)), None)
    known = columns(group)
    names = {
        name: known[name]["higher_is_better"]
        for name in declared_columns(group, task, attribute)
        if known[name]["higher_is_better"] is not None
    }
    if len(codecs) < 2 or not names:
        return None
    standings: dict[str, Standing] = {}
    ranks: dict[str, dict[str, int]] = {}
    unranked: dict[str, dict[str, str]] = {}
    for name, better in names.items():
        clips = {result.codec: _clips(result, name) for result in codecs}
        by_clip = any(name in r.rows and r.rows[name].notna().any() for r in codecs)
        kept, reasons = _comparable(clips, MOST_LEFT_OUT if by_clip else 0.0)
        for codec, reason in reasons.items():
            unranked.setdefault(codec, {})[name] = reason
        compared = [result for result in codecs if result.codec in kept]
        if len(compared) < 2 or (one := _standing(compared, floor, name, better)) is None:
            continue
        standings[name] = one
        if one.ranks:
            ranks[name] = one.ranks
    standings = _without_noise(standings)
    complete = [r.codec for r in codecs if r.codec not in unranked] if ranks else []
    mean = {name: float(np.mean([of[name] for of in ranks.values()])) for name in complete}
    return Ranking(standings, ranks, mean, unranked)


def _without_noise(standings: dict[str, Standing]) -> dict[str, Standing]:
    """Off the fronts: codecs that beat random codes in fewer than half of their columns."""
    compared = Counter(codec for one in standings.values() for codec in one.means)
    better = Counter(codec for one in standings.values() for codec in one.above_floor)
    noise = {codec for codec, count in compared.items() if 2 * better[codec] < count}
    return {
        name: replace(one, clearly_above=one.clearly_above - noise)
        for name, one in standings.items()
    }


def declared_columns(group: Sequence[Result], task: str, attribute: str) -> list[str]:
    """The columns of these results that a task names in `ranked`, `quality` or `costs`."""
    own = [name for name, column in columns(group).items() if column["task"] == task]
    found = []
    for name in tasks.declared(task, attribute):
        if ":" in task:  # the option follows the name
            longer = [column for column in own if column.startswith(f"{name}_")]
            found += [min(longer, key=len)] if longer else []
        elif name in own:
            found.append(name)
    return found


def _comparable(clips: dict[str, set[str]], most: float) -> tuple[set[str], dict[str, str]]:
    """The codecs whose missing values together leave out at most a share `most` of the clips that
    any codec has, those that lack the fewest first; and why the others are not ranked."""
    whole = set().union(*clips.values())
    kept, reasons, left_out = set(), {}, set()
    for codec in sorted(clips, key=lambda codec: (len(whole - clips[codec]), codec)):
        missing = whole - clips[codec]
        if missing == whole:
            reasons[codec] = "no value"
        elif len(left_out | missing) > most * len(whole):
            reasons[codec] = f"no value on {len(missing)} of {len(whole)} clips"
        else:
            kept.add(codec)
            left_out |= missing
    return kept, reasons if whole else {}


def _standing(
    compared: Sequence[Result], floor: Result | None, name: str, better: bool
) -> Standing | None:
    """None where there are fewer than two common clips, or the rows do not give the numbers."""
    codecs = [result.codec for result in compared]
    clips = {result.codec: _clips(result, name) for result in compared}
    whole, common = set().union(*clips.values()), set.intersection(*clips.values())
    lacking = {codec for codec in codecs if clips[codec] != whole}
    filled = _filled(compared, floor, name, better=better, clips=whole) if lacking else compared
    found, charged = _means(compared, name), _means(filled, name)
    if found is None or charged is None or found[0] < 2:
        return None
    means, second = (dict(zip(codecs, map(float, one[1]), strict=True)) for one in (found, charged))
    ranks = dict(zip(codecs, statistics.ranks(found[2], better), strict=True))
    if lacking:
        ahead = {c: {d for d in codecs if (second[d] - second[c]) * (1 if better else -1) > 0}
                 for c in codecs}  # fmt: skip
        complete = [result for result in filled if result.codec not in lacking]
        alone = _means([_only(result, name, common) for result in complete], name)
        among = statistics.ranks(alone[2], better) if alone else []
        for codec, rank_among in zip((r.codec for r in complete), among, strict=True):
            failed_ahead = min(ranks[codec] - rank_among, len(ahead[codec] & lacking))
            ranks[codec] = rank_among + max(failed_ahead, 0)
        ranks |= {codec: max(ranks[codec], 1 + len(ahead[codec])) for codec in lacking}
    above = _above_floor(compared, floor, name, better)
    if lacking:
        failing = [result for result in filled if result.codec in lacking]
        above -= lacking - _above_floor(failing, floor, name, better)
    ranks |= {codec: len(codecs) for codec in codecs if codec not in above}
    return Standing(
        higher_is_better=better,
        clips=len(common),
        left_out=len(whole - common),
        means=means,
        charged=second,
        lacking=lacking,
        above_floor=above,
        clearly_above=above & _far_from_floor(compared, floor, name, better),
        ranks=ranks if above else {},
    )


def _above_floor(
    compared: Sequence[Result], floor: Result | None, name: str, better: bool
) -> set[str]:
    """The codecs that are better than random codes; all, where these were not measured."""
    everyone = {result.codec for result in compared}
    if floor is None or (beside := _means([*compared, floor], name)) is None:
        return everyone
    if statistics.ranks(beside[2], better)[-1] == 1 + len(everyone):
        return everyone
    found = {result.codec: _means([result, floor], name) for result in compared}
    return {name for name, one in found.items() if one and statistics.ranks(one[2], better)[1] > 1}


def _far_from_floor(
    compared: Sequence[Result], floor: Result | None, name: str, better: bool
) -> set[str]:
    """The codecs that have gone CLEARLY of the way from random codes to the best of them."""
    codecs = [result.codec for result in compared]
    if floor is None or (beside := _means([*compared, floor], name)) is None:
        return set(codecs)
    gain = (np.asarray(beside[1][:-1]) - beside[1][-1]) * (1 if better else -1)
    far = gain >= CLEARLY * max(gain.max(), 0.0)
    return {codec for codec, passes in zip(codecs, far, strict=True) if passes}


def _means(found: Sequence[Result], name: str) -> tuple[int, np.ndarray, np.ndarray] | None:
    return comparison.on_the_same_clips(found, name) or comparison._by_its_task(found, name)


def _filled(
    compared: Sequence[Result],
    floor: Result | None,
    name: str,
    *,
    better: bool,
    clips: set[str],
) -> list[Result]:
    """The results with the worst value of all codecs on each of these clips where one has none."""
    everyone = [*compared, *([floor] if floor is not None else [])]
    weight = comparison.weight_of(compared, name) or None

    def values(column: str) -> pd.DataFrame:
        found = [r.rows_by_clip.reindex(columns=[column])[column] for r in everyone]
        frame = pd.concat(found, axis=1)
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
    """The result with the values of these clips alone."""
    weight = comparison.weight_of([result], name) or None
    rows = result.rows_by_clip
    return _with_rows(result, name, weight, rows[rows.index.isin(clips)])


def _with_rows(result: Result, name: str, weight: str | None, rows: pd.DataFrame) -> Result:
    """The result with other rows, by clip, and the mean that they give in one column."""
    used = rows[[name] if weight is None else [name, weight]].dropna()
    mean = float(np.average(used[name], weights=None if weight is None else used[weight]))
    scores = result.summary["scores"]
    summary = result.summary | {"scores": scores | {name: scores[name] | {"mean": mean}}}
    found = replace(result, summary=summary)
    vars(found)["rows"] = rows.reset_index(names="clip")  # in place of those on disk
    return found


def _clips(result: Result, column: str) -> set[str]:
    """The clips for which a codec has a value; of a number that only all clips together give, those
    for which it has any value of the task."""
    rows = result.rows
    if column not in rows or not (named := rows["clip"][rows[column].notna()]).size:
        scores = result.scores
        if scores.get(column, {}).get("mean") is None:
            return set()
        task = scores[column]["task"]
        others = [name for name, one in scores.items() if one["task"] == task and name in rows]
        named = rows["clip"][rows[others].notna().any(axis=1)]
    return set(named)


def _has_rows(result: Result) -> bool:
    return (result.folder / "rows.parquet").is_file()
