"""Embeddings of pairs of sounds in the rows of a task, as text, and the distance of both sets."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import MetricError
from audiotok.metrics.sets import mmd

if TYPE_CHECKING:
    import pandas


def text(pair: np.ndarray) -> str:
    """A pair of embeddings (2, D) as base64 of float16, which keeps three digits, far
    more than a distance of sets needs.

    Raises:
        MetricError: a number is too large for float16.
    """
    half = pair.astype("<f2")
    if not np.isfinite(half).all():
        raise MetricError(f"an embedding holds {np.abs(pair).max():.3g}: expected below 65,504")
    return base64.b64encode(half.tobytes()).decode()


def sets(rows: pandas.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Embeddings (n, D) of the first and of the second sounds of the clips in `rows`, and how often
    each clip occurs (n,), as in a resample; None without any."""
    if column not in rows or not len(texts := rows[column].dropna()):
        return None
    counts = texts.index.value_counts(sort=False)
    unique = texts[~texts.index.duplicated()]
    pairs = np.stack([_array(text) for text in unique])
    return pairs[:, 0], pairs[:, 1], counts[unique.index].to_numpy(dtype=np.float64)


def squared_mmd(rows: pandas.DataFrame, column: str) -> float | None:
    """The unbiased squared MMD of both sets; in a resample, a clip is not compared with its copies.
    None for fewer than two clips, or equal ones."""
    if (embeddings := sets(rows, column)) is None:
        return None
    first, second, weights = embeddings
    try:
        return mmd.squared(first, second, paired=True, weights=weights)
    except MetricError:
        return None


def _array(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f2").reshape(2, -1).astype(np.float64)
