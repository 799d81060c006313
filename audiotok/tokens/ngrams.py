"""How well codes are predicted by those before them: n-gram models, tried on clips held out.

Interpolated Kneser-Ney smoothing (Kneser and Ney 1995; in the form of Chen and Goodman 1999): from
the count of each n-gram a discount is taken, and given to the model of the next lower order, whose
counts are numbers of different codes seen before; the lowest interpolates with the even
distribution. A clip is coded by a model of the others, so the bits are those that a coder would
spend: never too few because the sample is small, and fewer where more clips teach the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FOLDS = 5
ORDER = 3  # a code and the two before it


@dataclass
class _Grams:
    """The n-grams of one order, numbered; of order 0 there is one, the empty one."""

    at: np.ndarray  # (N,) which one ends at each code
    prefix: np.ndarray  # of each: its number without its last code, in the order below
    suffix: np.ndarray  # of each: its number without its first code, in the order below


def held_out_bits(
    sequences: Sequence[Sequence[np.ndarray]], size: int, order: int = ORDER, folds: int = FOLDS
) -> list[np.ndarray]:
    """Bits of the codes of each clip under models of the clips in other folds.

    Args:
        sequences: of each clip its sequences of codes (T,), such as one per channel.
        size: V, number of codes there are.
        order: n; codes with fewer than n - 1 before them are context only, whatever the order of
            the models asked for.
        folds: clip i is in fold i modulo `folds`, or a fold of its own where clips are fewer.

    Returns:
        For each clip bits (order, N): by the model of order 1, ..., n.
    """
    rows = [(clip, row) for clip, given in enumerate(sequences) for row in given]
    clips = np.concatenate([np.full(len(row), clip) for clip, row in rows])
    places = np.concatenate([np.arange(len(row)) for _, row in rows])
    whole = places >= order - 1  # the codes that have a whole context
    grams = _number(np.concatenate([row for _, row in rows]), order)
    fold = clips % min(folds, len(sequences))
    bits = np.zeros((order, len(clips)))
    for held in range(int(fold.max()) + 1):
        tried, taught = whole & (fold == held), whole & (fold != held)
        if tried.any():
            for top in range(order):
                found = _probability(grams[: top + 2], taught, tried, size)
                bits[top, tried] = -np.log2(found)
    return [bits[:, whole & (clips == clip)] for clip in range(len(sequences))]


def _number(codes: np.ndarray, order: int) -> list[_Grams]:
    """N-grams of orders 0..n in one circle of codes; those that cross sequences are never used."""
    _, codes = np.unique(codes, return_inverse=True)
    distinct = int(codes.max()) + 1
    grams = [_Grams(np.zeros(len(codes), int), np.zeros(1, int), np.zeros(1, int))]
    for _ in range(order):
        lower = grams[-1].at
        before = np.roll(lower, 1)
        _, first, at = np.unique(before * distinct + codes, return_index=True, return_inverse=True)
        grams.append(_Grams(at, before[first], lower[first]))
    return grams


def _probability(
    grams: list[_Grams], taught: np.ndarray, tried: np.ndarray, size: int
) -> np.ndarray:
    """Of the codes `tried` by the model of the highest order, taught on `taught`: (N,)."""
    counts = [np.bincount(grams[-1].at[taught], minlength=len(grams[-1].prefix))]
    for gram, lower in zip(grams[:1:-1], grams[-2:0:-1], strict=True):
        preceded = np.bincount(gram.suffix[counts[0] > 0], minlength=len(lower.prefix))
        counts.insert(0, preceded)
    found = np.full(int(tried.sum()), 1 / size)
    for gram, count in zip(grams[1:], counts, strict=True):
        discount = _discount(count)
        at = gram.at[tried]
        context = gram.prefix[at]
        total = np.bincount(gram.prefix, count)[context]
        kinds = np.bincount(gram.prefix, count > 0)[context]
        known = total > 0
        better = np.maximum(count[at] - discount, 0) + discount * kinds * found
        found[known] = (better / np.maximum(total, 1))[known]
    return found


def _discount(count: np.ndarray) -> float:
    """n1 / (n1 + 2 n2), the estimate of Ney, Essen and Kneser 1994, kept off 0 and 1."""
    once, twice = int((count == 1).sum()), int((count == 2).sum())
    return min(max(once / max(once + 2 * twice, 1), 0.05), 0.95)
