"""Distances between two sets of sounds, by embeddings (n, D) of the sounds; numpy only.

    mmd.squared(reference, generated)          # unbiased for sets of any size
    frechet.distance(reference, generated)     # too high for small sets
    frechet.limit(reference, generated)        # extrapolated to sets without end
    kld.divergence(reference, generated)       # of class posteriors of the same clips

Sets are `paired` if row i of both belongs to the same clip, as a reference and its reconstruction.
Embeddings come from `audiotok.judges.embeddings`. A distance is a number of its encoder: it cannot
be compared with that of another encoder, nor with one whose weights are random.
"""

from __future__ import annotations

import numpy as np

from audiotok.errors import MetricError


def checked(first: np.ndarray, second: np.ndarray, paired: bool, least: int = 2) -> tuple:
    """Both sets as float64 (n, D) and (m, D).

    Raises:
        MetricError: other shapes, fewer than `least` rows, numbers that are not finite, or sets of
            different size that are called paired.
    """
    sets = tuple(np.asarray(rows, dtype=np.float64) for rows in (first, second))
    shapes = " and ".join(str(rows.shape) for rows in sets)
    if any(rows.ndim != 2 for rows in sets) or sets[0].shape[1] != sets[1].shape[1]:
        raise MetricError(f"embeddings of shapes {shapes}: expected (n, D) and (m, D)")
    if min(map(len, sets)) < least:
        raise MetricError(f"embeddings of shapes {shapes}: at least {least} sounds are needed")
    if paired and len(sets[0]) != len(sets[1]):
        raise MetricError(f"embeddings of shapes {shapes}: paired sets have equally many rows")
    if not all(np.isfinite(rows).all() for rows in sets):
        raise MetricError(f"embeddings of shapes {shapes} hold numbers that are not finite")
    return sets
