"""Kullback-Leibler divergence of the class posteriors that a tagger gives to the same clips.

As in papers on audio generation (Kreuk et al. 2022, arXiv 2209.15352): the mean over clips of the
divergence from the posteriors of the reference to those of the other sound, in nats.
"""

from __future__ import annotations

import numpy as np

from audiotok.errors import MetricError
from audiotok.metrics.sets import checked

FLOOR = 1e-12  # of a probability


def divergences(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n,) nats: of each clip, from probabilities (n, C), each row with the sum 1.

    Raises:
        MetricError: as `sets.checked`; or rows that are no probabilities.
    """
    first, second = checked(reference, other, paired=True, least=1)
    for rows in (first, second):
        if (rows < 0).any() or not np.allclose(rows.sum(1), 1, atol=1e-3):
            raise MetricError("class posteriors must be at least 0, each row with the sum 1")
    logarithms = np.log(np.maximum(first, FLOOR)) - np.log(np.maximum(second, FLOOR))
    return (first * logarithms).sum(1)


def divergence(reference: np.ndarray, other: np.ndarray) -> float:
    """The mean of `divergences`."""
    return float(divergences(reference, other).mean())
