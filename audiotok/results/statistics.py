"""Statistics over clips: means, intervals, differences, verdicts, ranks. Imports no torch.

Clips of one speaker resemble each other, so clusters are resampled: speakers, or clips if no
speaker is known. With few clusters, intervals are Student's t with the standard error of the
jackknife, which leaves out each cluster once. The degrees of freedom are the effective number of
clusters minus one. For clusters of equal weight this is the t interval over the means of the
clusters; for unequal weights it is wider (Carter, Schnepel and Steigerwald 2017). With FEW or more
clusters, intervals are percentiles of the two-stage bootstrap: clusters are drawn with replacement,
and clips within them. tests/results/test_statistics.py simulates both.

Codecs are compared on the same clips, and each replicate has the same clips of all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

RESAMPLES = 1000
CORPUS_RESAMPLES = 200  # for numbers that are computed from the whole corpus
FEW = 40  # effective clusters; with fewer, bootstrap intervals are too narrow
LEVEL = 0.05  # of all verdicts
EDGES = (100 * LEVEL / 2, 100 - 100 * LEVEL / 2)  # percentiles
T, BOOTSTRAP = "t", "bootstrap"


class Clusters:
    """The clusters of n clips.

    Args:
        labels: (n,) text, the speaker of each clip; a clip without one is its own cluster. None, or
            equal for all clips: every clip is a cluster.
        n: number of clips.
        weights: (n,), of the clips in the means; None: all are equal.

    Attributes:
        labels: (n,), as passed; all None if none were passed.
        codes: (n,) int, the cluster of each clip, numbered in order of appearance.
        count: number of clusters.
        effective: the equivalent number of clusters of equal weight.
        method: T or BOOTSTRAP.
    """

    def __init__(self, labels: Sequence[object] | None, n: int, weights: np.ndarray | None = None):
        self.labels = [None] * n if labels is None else list(labels)
        keys = [
            label if isinstance(label, str) else index for index, label in enumerate(self.labels)
        ]
        if len(set(keys)) == 1:
            keys = list(range(n))
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self.codes = np.array([numbers[key] for key in keys], dtype=np.int64)
        self.count = len(numbers)
        sizes = np.bincount(self.codes, weights, minlength=1).astype(np.float64)
        self.effective = float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.any() else 0.0
        self.method = T if self.effective < FEW else BOOTSTRAP

    def resamples(self, draws: int = RESAMPLES, seed: int = 0) -> np.ndarray:
        """(R, n): the number of times that each clip occurs in each resample.

        T: row r leaves out cluster r. BOOTSTRAP: each of `draws` rows draws `count` clusters with
        replacement, and from each cluster as many clips as it has, with replacement.
        """
        if self.method == T:
            return (self.codes != np.arange(self.count)[:, None]).astype(np.float64)
        return _bootstrap(self.codes.tobytes(), draws, seed)


@lru_cache(maxsize=2)  # tables compare many codecs in many columns on the same clips
def _bootstrap(codes: bytes, draws: int, seed: int) -> np.ndarray:
    """The resamples of `Clusters` with BOOTSTRAP; read only.

    Args:
        codes: the bytes of (n,) int64, the cluster of each clip.
    """
    cluster = np.frombuffer(codes, np.int64)
    n, sizes = len(cluster), np.bincount(cluster)
    order, first_of_cluster = np.argsort(cluster, kind="stable"), np.cumsum(sizes) - sizes
    total = draws * len(sizes)  # clusters drawn
    picked = (_uniform(np.arange(total), seed) * len(sizes)).astype(np.int64)
    size = sizes[picked]
    draw = np.repeat(np.arange(total), size)
    offset = np.arange(len(draw)) - np.repeat(np.cumsum(size) - size, size)
    clip_in_cluster = (_uniform(draw + (offset + 1) * total, seed) * size[draw]).astype(np.int64)
    clip = order[first_of_cluster[picked[draw]] + clip_in_cluster]
    counts = np.bincount(draw // len(sizes) * n + clip, minlength=draws * n)
    counts = counts.reshape(draws, n).astype(np.float64)
    counts.flags.writeable = False
    return counts


def _uniform(index: np.ndarray, seed: int) -> np.ndarray:
    """Random numbers in [0, 1) by their index: mulberry32, as in report/site/static/statistics.js,
    so that both draw the same clips."""
    state = ((index.astype(np.uint64) + 1) * 0x6D2B79F5 + seed).astype(np.uint32)
    mixed = (state ^ (state >> 15)) * (state | np.uint32(1))
    mixed ^= mixed + (mixed ^ (mixed >> 7)) * (mixed | np.uint32(61))
    return (mixed ^ (mixed >> 14)) / 2.0**32


@dataclass(frozen=True)
class Estimate:
    """A number, its 95 % interval, and the p-value for the null hypothesis 0 (None: neither)."""

    value: float
    ci95: list[float] | None
    p: float | None


@dataclass(frozen=True, eq=False)
class Replicates:
    """Numbers of C codecs, and of R resamples of the clips.

    Attributes:
        means: (C,), over all clips.
        values: (R, C), one row per row of `Clusters.resamples`.
    """

    means: np.ndarray
    values: np.ndarray
    clusters: Clusters

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self.values, dtype)

    def difference(self, first: int, second: int) -> Estimate:
        """The number of one codec minus that of another, by their indices."""
        difference = self.means[first] - self.means[second]
        if abs(difference) <= 1e-12 * np.abs(self.means[[first, second]]).max():
            difference = 0.0  # only rounding
        return estimate(difference, self.values[:, first] - self.values[:, second], self.clusters)


def estimate(value: float, replicates: Sequence[float], clusters: Clusters) -> Estimate:
    """The interval and the p-value of a number.

    Args:
        value: of all clips.
        replicates: (R,), one per row of `Clusters.resamples`. NaN is left out in a bootstrap; the
            jackknife needs all.
    """
    value, replicates = float(value), np.asarray(replicates, dtype=np.float64)
    finite = replicates[np.isfinite(replicates)]
    freedom, by_jackknife = clusters.effective - 1, clusters.method == T
    if freedom <= 0 or len(finite) < 2 or (by_jackknife and len(finite) < len(replicates)):
        return Estimate(value, None, None)
    error = float(finite.std()) * (np.sqrt(len(finite) - 1) if by_jackknife else 1)
    if by_jackknife:
        half_width = float(stdtrit(freedom, 1 - LEVEL / 2)) * error
        ci95 = [value - half_width, value + half_width]
    else:
        ci95 = [float(edge) for edge in np.percentile(finite, EDGES)]
    if not error:
        return Estimate(value, ci95, 0.0 if value else 1.0)
    return Estimate(value, ci95, 2 * float(stdtr(freedom, -abs(value) / error)))


def mean_score(
    values: Sequence[float],
    failed: int,
    seed: int = 0,
    clusters: Sequence[object] | None = None,
) -> dict[str, Any]:
    """Mean of the clips with a value, its 95 % interval, n, and failures.

    Args:
        values: (n,).
        clusters: (n,), labels as in `Clusters`.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        return {"mean": None, "ci95": None, "n": 0, "failed": failed}
    (mean,), replicates = paired_means(values[:, None], clusters=clusters, seed=seed)
    ci95 = estimate(mean, replicates.values[:, 0], replicates.clusters).ci95
    return {"mean": float(mean), "ci95": ci95, "n": len(values), "failed": failed}


def paired_means(
    values: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    clusters: Sequence[object] | None = None,
    seed: int = 0,
) -> tuple[np.ndarray, Replicates]:
    """Weighted means of several codecs, (C,), and their replicates on resampled clips.

    Args:
        values: (n, C), a row per clip, a column per codec; no missing values.
        weights: the same shape; None: equal weights.
        clusters: (n,), labels as in `Clusters`.
    """
    weights = np.ones_like(values) if weights is None else weights
    clustering = Clusters(clusters, len(values), weights.mean(axis=1))
    counts = clustering.resamples(seed=seed)
    # a resample without any weight has no mean: NaN; sums of the largest numbers overflow
    with np.errstate(invalid="ignore", over="ignore"):
        replicates = counts @ (values * weights) / (counts @ weights)
        means = (values * weights).sum(axis=0) / weights.sum(axis=0)
    return means, Replicates(means, replicates, clustering)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979); up to LEVEL they are significant."""
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1, np.maximum.accumulate(p_values[order] * factors))
    return corrected.tolist()


def ranks(replicates: Replicates, higher_is_better: bool) -> list[int]:
    """For each codec 1 + the number of codecs that are better than it; ties share a rank.

    Better: the 95 % interval of the paired difference excludes 0, without correction for the number
    of pairs. Codecs without a significant difference share a rank, even if their own intervals
    overlap only partly.
    """
    better = [0] * len(replicates.means)
    for i, j in itertools.combinations(range(len(better)), 2):
        if winner := verdict(replicates.difference(i, j).ci95, higher_is_better):
            better[j if winner == 1 else i] += 1
    return [1 + count for count in better]


def verdict(
    ci95: Sequence[float] | None, higher_is_better: bool | None, corrected: float | None = None
) -> int | None:
    """The better one of two by the difference first - second: 1 the first, -1 the second, 0 a tie,
    None if there is no interval or no direction.

    Args:
        ci95: interval of the difference; if it contains 0, it is a tie.
        corrected: p-value after Holm's correction; above LEVEL, it is a tie. None: the interval
            alone decides.
    """
    if ci95 is None or higher_is_better is None:
        return None
    low, high = ci95
    if low <= 0 <= high or (corrected is not None and corrected > LEVEL):
        return 0
    return 1 if (low > 0) == higher_is_better else -1
