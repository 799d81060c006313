"""Numbers of several clips: means, bootstrap intervals, paired draws, ranks. Imports no torch.

All intervals are of the percentile bootstrap over clips (Efron and Tibshirani 1993, chapter 13).
Codecs are compared on the same clips, and each draw takes the same clips of all of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

RESAMPLES = 1000
CORPUS_RESAMPLES = 200  # where each draw computes the whole corpus again
EDGES = (2.5, 97.5)  # percentiles


def mean_score(values: Sequence[float], failed: int, seed: int = 0) -> dict[str, Any]:
    """Mean of the clips that have a value, its 95 % bootstrap interval, n, and failures."""
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    generator = np.random.default_rng(seed)
    drawn = [
        mean
        for _ in range(RESAMPLES // 100 if n > 1 else 0)
        for mean in values[generator.integers(0, n, (100, n))].mean(axis=1)
    ]
    mean = float(values.mean()) if n else None
    return {"mean": mean, "ci95": interval(drawn), "n": n, "failed": failed}


def interval(drawn: Iterable[float]) -> list[float] | None:
    """The 2.5th and 97.5th percentile of what the bootstrap gave."""
    finite = [value for value in drawn if math.isfinite(value)]
    return [float(edge) for edge in np.percentile(finite, EDGES)] if finite else None


def paired_means(
    values: np.ndarray, weights: np.ndarray | None = None, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Weighted means of several codecs, (C,), and the same of clips drawn again, (RESAMPLES, C).

    Args:
        values: (n, C), a row per clip, a column per codec; none is missing.
        weights: the same shape; None: all clips count alike.
    """
    weights = np.ones_like(values) if weights is None else weights
    n = len(values)
    generator = np.random.default_rng(seed)
    times = generator.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(np.float64)
    with np.errstate(invalid="ignore"):  # a draw without any weight has no mean: NaN
        drawn = times @ (values * weights) / (times @ weights)
        return (values * weights).sum(axis=0) / weights.sum(axis=0), drawn


def ranks(drawn: np.ndarray, higher_is_better: bool) -> list[int]:
    """For each codec 1 + the number of codecs that are better than it; ties share a rank.

    Better: the 95 % interval of the paired difference excludes 0, in the declared direction. So a
    rank says how many are certainly ahead, and codecs that the clips cannot tell apart may share
    one even where their own intervals overlap only in part.

    Args:
        drawn: (R, C), of `paired_means`.
    """
    differences = drawn[:, None, :] - drawn[:, :, None]  # of the second codec against the first
    # where nothing is NaN both give the same, and nanpercentile is slow
    percentile = np.nanpercentile if np.isnan(differences).any() else np.percentile
    low, high = percentile(differences, EDGES, axis=0)
    ahead = low > 0 if higher_is_better else high < 0
    return [1 + int(count) for count in ahead.sum(axis=1)]


def verdict(ci95: Sequence[float] | None, higher_is_better: bool | None) -> int | None:
    """Who is better by the interval of the difference first - second: 1 the first, -1 the second,
    0 a tie (it holds 0), None where there is no interval or no direction."""
    if ci95 is None or higher_is_better is None:
        return None
    low, high = ci95
    if low <= 0 <= high:
        return 0
    return 1 if (low > 0) == higher_is_better else -1
