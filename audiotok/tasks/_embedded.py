"""Embeddings of pairs of sounds in the rows of a task, as text, and the distance of both sets."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import MetricError
from audiotok.metrics.sets import mmd

if TYPE_CHECKING:
    import pandas


def text(both: np.ndarray) -> str:
    """(2, D) as base64 of float16, which keeps three digits: far finer than a distance of sets.

    Raises:
        MetricError: a number is too large for float16.
    """
    half = both.astype("<f2")
    if not np.isfinite(half).all():
        raise MetricError(f"an embedding holds {np.abs(both).max():.3g}: expected below 65,504")
    return base64.b64encode(half.tobytes()).decode()


def sets(rows: pandas.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """First and second sounds (n, D) of the clips in `rows`, and how often each clip is there (n,),
    as in a resample; None without any."""
    if column not in rows or not len(texts := rows[column].dropna()):
        return None
    counts = texts.index.value_counts(sort=False)
    once = texts[~texts.index.duplicated()]
    both = np.stack([_array(one) for one in once])
    return both[:, 0], both[:, 1], counts[once.index].to_numpy(dtype=np.float64)


def squared_mmd(rows: pandas.DataFrame, column: str) -> float | None:
    """The unbiased squared MMD of both sets; in a resample, a clip is not compared with its copies.
    None for fewer than two clips, or equal ones."""
    if (found := sets(rows, column)) is None:
        return None
    first, second, weights = found
    try:
        return mmd.squared(first, second, paired=True, weights=weights)
    except MetricError:
        return None


def _array(one: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(one), "<f2").reshape(2, -1).astype(np.float64)
