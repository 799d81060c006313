"""Squared maximum mean discrepancy of two sets, unbiased for sets of any size.

Gretton et al. 2012, 'A kernel two-sample test', with the Gaussian kernel whose width is the median
distance within the reference, as the kernel audio distance (Chung et al. 2025, arXiv 2502.15602).
The mean over many sets of n sounds is that of sets without end, so single values may be below 0.
"""

from __future__ import annotations

import numpy as np

from audiotok.errors import MetricError
from audiotok.metrics.sets import checked


def squared(
    first: np.ndarray,
    second: np.ndarray,
    *,
    paired: bool = False,
    weights: np.ndarray | None = None,
) -> float:
    """The squared MMD of a reference (n, D) and another set (m, D); 0 for equal distributions, at
    most 2.

    Args:
        paired: row i of both is the same clip. Then the two of a clip are never compared
            (the U-statistic of Gretton et al., lemma 6), and a set has distance 0 to itself.
        weights: (n,) of paired clips: how often each was drawn in a resample. A clip is not
            compared with its copies, so that resamples have no bias either.

    Raises:
        MetricError: as `sets.checked`; or all sounds of the reference are equal.
    """
    first, second = checked(first, second, paired)
    within_first = _distances(first, first)
    width = np.median(within_first[np.triu_indices(len(first), 1)])
    if not width:
        raise MetricError(f"the {len(first)} sounds of the reference have equal embeddings")
    scale = -1 / (2 * width)

    def kernel(distances: np.ndarray) -> np.ndarray:
        return np.exp(scale * distances)

    xx, yy, xy = (
        kernel(within_first), kernel(_distances(second, second)), kernel(_distances(first, second)),
    )  # fmt: skip
    if not paired:
        return float(_mean(xx) + _mean(yy) - 2 * xy.mean())
    return float(_mean(xx + yy - xy - xy.T, weights))


def _mean(kernel: np.ndarray, weights: np.ndarray | None = None) -> float:
    """The mean of (n, n) without its diagonal."""
    weights = np.ones(len(kernel)) if weights is None else np.asarray(weights, dtype=np.float64)
    total = weights @ kernel @ weights - np.square(weights) @ kernel.diagonal()
    return total / (weights.sum() ** 2 - np.square(weights).sum())


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (n, m)."""
    norms = np.square(first).sum(1)[:, None] + np.square(second).sum(1)
    squares = np.maximum(norms - 2 * first @ second.T, 0)
    if first is second:
        np.fill_diagonal(squares, 0)
    return squares
