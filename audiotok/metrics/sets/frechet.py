"""Fréchet distance of the Gaussians that are fitted to two sets, and its limit for large sets.

Heusel et al. 2017 (FID), Kilgour et al. 2019 (FAD). The distance of finite samples is too high by
about c / n, where c depends on the sets: codecs with different c change places as n grows. `limit`
removes this: the distance is computed for subsets of several sizes, and a line through them over
1 / n is extended to 1 / n = 0 (FID-infinity, Chong and Forsyth 2020, arXiv 1911.07023). The line
holds only where the covariances have full rank, so `limit` needs more sounds than dimensions.
"""

from __future__ import annotations

import numpy as np

from audiotok.errors import MetricError
from audiotok.metrics.sets import checked

SIZES = 6  # subset sizes, from half of the set to the whole set
DRAWS = 8  # random subsets of each size
MARGIN = 2  # the smallest subset has at least MARGIN * D sounds


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """The squared Fréchet distance of sets (n, D) and (m, D), in squared units of the embeddings.

    With X and Y the centred sets divided by the square root of n - 1 and m - 1, the trace of the
    square root of the product of both covariances is the sum of the singular values of X Y'.

    Raises:
        MetricError: as `sets.checked`.
    """
    first, second = checked(first, second, paired=False)
    means = np.square(first.mean(0) - second.mean(0)).sum()
    x, y = _root(first), _root(second)
    shared = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return float(max(0.0, means + np.square(x).sum() + np.square(y).sum() - 2 * shared))


def limit(first: np.ndarray, second: np.ndarray, *, paired: bool = False, seed: int = 0) -> float:
    """The distance that sets without end would have; may be slightly below 0.

    Args:
        first, second: embeddings (n, D) and (m, D).
        paired: row i of both is the same clip, so subsets hold the same rows of both.
        seed: of the subsets.

    Raises:
        MetricError: the smaller set has fewer than 2 * MARGIN * D sounds.
    """
    first, second = checked(first, second, paired)
    whole, dimension = min(len(first), len(second)), first.shape[1]
    if whole < 2 * MARGIN * dimension:
        raise MetricError(
            f"{whole} sounds are too few to extrapolate the Fréchet distance of {dimension} "
            f"dimensions: {2 * MARGIN * dimension} are needed; read the MMD, which has no bias"
        )
    generator = np.random.default_rng(seed)
    inverse, distances = [], []
    for size in np.linspace(whole // 2, whole, SIZES).astype(int):
        for _ in range(DRAWS):
            rows = generator.permutation(len(first))[:size]
            others = rows if paired else generator.permutation(len(second))[:size]
            inverse.append(1 / size)
            distances.append(distance(first[rows], second[others]))
    return float(np.polyfit(inverse, distances, 1)[1])


def halves(rows: np.ndarray, seed: int = 0) -> float:
    """The distance of two random halves of one set (n, D): the bias at n / 2 sounds alone."""
    order = np.random.default_rng(seed).permutation(len(rows))
    half = len(rows) // 2
    return distance(rows[order[:half]], rows[order[half : 2 * half]])


def _root(rows: np.ndarray) -> np.ndarray:
    """R (min(n, D), D) with R' R the covariance of the set."""
    return np.linalg.qr((rows - rows.mean(0)) / np.sqrt(len(rows) - 1), mode="r")
