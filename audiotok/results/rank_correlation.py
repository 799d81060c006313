"""How two columns agree on the order of codecs: Kendall's tau with an interval over speakers.

    rank_correlation.table(results, ["stoi", "wer_whisper_base"], ["enhance_dwer", "tts_wer_base"])

The survey of discrete audio tokens (arXiv 2506.10274, section 5) notes that reconstruction does not
predict how well tokens can be generated. A tau of +1 means that both numbers order the codecs
equally (the better first), -1 that the orders are opposite, 0 that they are unrelated. Points are
codecs at one number of codebooks and one merge rate, never the reference, baselines or random
codes. With fewer than MIN_POINTS of them any order is likely by chance: then there is no tau.

Points of one family at several rates are not independent: most numbers fall with the rate, so tau
is high within a family. The interval shows the uncertainty over speakers alone, not over codecs.
Imports no torch.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.stats import kendalltau

from audiotok.results import comparison, statistics
from audiotok.results.results import Result, by_setting

MIN_POINTS = 8


@dataclass(frozen=True)
class Agreement:
    """How two numbers agree on the order of codecs.

    Attributes:
        first, second: columns.
        codecs: the points that have both.
        tau: Kendall's tau-b; None without a value, see `reason`.
        ci95: its interval; None if fewer than two speakers are known.
        speakers: number of speakers of the interval.
        reason: why there is no tau, or no interval; else empty.
    """

    first: str
    second: str
    codecs: tuple[str, ...]
    tau: float | None = None
    ci95: tuple[float, float] | None = None
    speakers: int = 0
    reason: str = ""


def table(results: Sequence[Result], first: Sequence[str], second: Sequence[str]) -> pd.DataFrame:
    """One row for each pair of columns: points, tau, low, high, speakers, reason.

    Args:
        results: of any suites. The two columns are taken from the settings (suite and data) that
            have both for most codecs; the first such, if several do.
        first, second: names of columns.
    """
    rows = []
    for first_column in first:
        for second_column in second:
            result = agreement(results, first_column, second_column)
            low, high = result.ci95 or (np.nan, np.nan)
            rows.append({
                "first": first_column, "second": second_column, "points": len(result.codecs),
                "tau": np.nan if result.tau is None else result.tau, "low": low, "high": high,
                "speakers": result.speakers, "reason": result.reason,
            })  # fmt: skip
    return pd.DataFrame(rows)


def agreement(
    results: Sequence[Result], first: str, second: str, min_points: int = MIN_POINTS
) -> Agreement:
    """Tau of two columns over the codecs that have both."""
    settings = [list(_settings(results, column)) for column in (first, second)]
    sides = max(itertools.product(*settings), key=lambda pair: len(pair[0].keys() & pair[1].keys()))
    codecs = tuple(sorted(sides[0].keys() & sides[1].keys()))
    result = Agreement(first, second, codecs)
    if len(codecs) < min_points:
        reason = f"{len(codecs)} points have both: no tau for fewer than {min_points}"
        return replace(result, reason=reason)
    means, replicates = [], []
    for side, column in zip(sides, (first, second), strict=True):
        chosen = [side[codec] for codec in codecs]
        better = chosen[0].scores[column]["higher_is_better"]
        if better is None:
            reason = f"{column} has no direction: neither more nor less of it is better"
            return replace(result, reason=reason)
        numbers = comparison.on_the_same_clips(chosen, column)
        sign = 1 if better else -1
        if numbers is None:
            means.append(sign * np.array([r.scores[column]["mean"] for r in chosen]))
            replicates.append(None)
        else:
            means.append(sign * numbers[1])
            replicates.append((sign * numbers[2].values, numbers[2].clusters))
    tau = _tau(*means)
    if np.isnan(tau):
        return replace(result, reason="all points have one value")
    result = replace(result, tau=tau)
    if None in replicates:
        reason = "no interval: the rows do not determine the number of a corpus"
        return replace(result, reason=reason)
    speakers, taus, clusters = _resampled(means, replicates)
    result = replace(result, speakers=speakers)
    if clusters is None:
        reason = "no interval: fewer than two speakers are known, or not of every clip"
        return replace(result, reason=reason)
    if len(set(taus)) == 1:
        reason = f"no interval: tau is the same without any one of {speakers} speakers"
        return replace(result, reason=reason)
    ci95 = statistics.estimate(tau, taus, clusters).ci95
    limited = ci95 and (max(-1.0, ci95[0]), min(1.0, ci95[1]))
    return replace(result, ci95=limited or None)


def _settings(results: Sequence[Result], column: str) -> Iterator[dict[str, Result]]:
    """{codec: result} of the neural codecs with a value, for each setting; the last one is
    empty, so that there is always one."""
    for _, group in by_setting(results):
        yield {
            result.codec: result
            for result in group
            if result.role == "neural" and result.scores.get(column, {}).get("mean") is not None
        }
    yield {}


def _resampled(
    means: Sequence[np.ndarray], replicates: Sequence[tuple[np.ndarray, statistics.Clusters]]
) -> tuple[int, list[float], statistics.Clusters | None]:
    """Speakers, tau of each resample, and the clusters that were resampled.

    If both numbers are of the same speakers, a resample has the same speakers for both. Otherwise,
    e.g. for two corpora, a speaker is left out only of the number that includes this speaker.
    """
    if all(clusters.method == statistics.BOOTSTRAP for _, clusters in replicates):
        labels = {label for _, clusters in replicates for label in clusters.labels}
        if len(labels) < 2 or not all(isinstance(label, str) for label in labels):
            return 0, [], None  # resamples of clips, not of speakers
        pairs = zip(*(values for values, _ in replicates), strict=True)
        return len(labels), [_tau(a, b) for a, b in pairs], replicates[0][1]
    left_out = [dict(_left_out(values, clusters)) for values, clusters in replicates]
    speakers = sorted(set(left_out[0]) | set(left_out[1]))
    if len(speakers) < 2:
        return len(speakers), [], None
    taus = [
        _tau(*(side.get(speaker, mean) for side, mean in zip(left_out, means, strict=True)))
        for speaker in speakers
    ]
    return len(speakers), taus, statistics.Clusters(speakers, len(speakers))


def _left_out(
    values: np.ndarray, clusters: statistics.Clusters
) -> Iterator[tuple[str, np.ndarray]]:
    """Each known speaker, and the means without that speaker."""
    if clusters.method == statistics.BOOTSTRAP:
        return
    first = {code: label for label, code in zip(clusters.labels, clusters.codes, strict=True)}
    for code, label in first.items():
        if isinstance(label, str) and clusters.count == len(values):
            yield label, values[code]


def _tau(first: np.ndarray, second: np.ndarray) -> float:
    """Kendall's tau-b; NaN if all values of one side are equal."""
    return float(kendalltau(first, second).statistic)
