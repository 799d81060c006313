"""Prediction of codes from the previous ones: n-gram models, tested on held-out clips.

Interpolated Kneser-Ney smoothing (Kneser and Ney 1995; in the form of Chen and Goodman 1999): a
discount is subtracted from the count of each n-gram, and its probability mass goes to the model of
the next lower order, whose counts are numbers of different preceding codes; the lowest order
interpolates with the uniform distribution. Each clip is coded by a model trained on other clips, so
the bits are those of a real coder: a small sample never makes them too low, and more training clips
make them lower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FOLDS = 5
ORDER = 3  # a code and the two before it


@dataclass
class _Grams:
    """The n-grams of one order, numbered; order 0 has only the empty n-gram."""

    at: np.ndarray  # (N,) number of the n-gram that ends at each code
    prefix: np.ndarray  # for each n-gram: number of the (n-1)-gram without its last code
    suffix: np.ndarray  # for each n-gram: number of the (n-1)-gram without its first code


def held_out_bits(
    sequences: Sequence[Sequence[np.ndarray]], size: int, order: int = ORDER, folds: int = FOLDS
) -> list[np.ndarray]:
    """Bits of the codes of each clip under models of the clips in other folds.

    Args:
        sequences: for each clip its sequences of codes (T,), such as one per channel.
        size: V, number of possible codes.
        order: n; for models of all orders, codes with fewer than n - 1 codes before them are
            context only.
        folds: clip i is in fold i modulo `folds`; one fold per clip if there are fewer clips.

    Returns:
        For each clip bits (order, N): by the model of order 1, ..., n.
    """
    rows = [(clip, row) for clip, rows_of_clip in enumerate(sequences) for row in rows_of_clip]
    clips = np.concatenate([np.full(len(row), clip) for clip, row in rows])
    positions = np.concatenate([np.arange(len(row)) for _, row in rows])
    whole = positions >= order - 1  # codes with a full context
    grams = _number(np.concatenate([row for _, row in rows]), order)
    fold = clips % min(folds, len(sequences))
    bits = np.zeros((order, len(clips)))
    for test_fold in range(int(fold.max()) + 1):
        test, train = whole & (fold == test_fold), whole & (fold != test_fold)
        if test.any():
            for top in range(order):
                probability = _probability(grams[: top + 2], train, test, size)
                bits[top, test] = -np.log2(probability)
    return [bits[:, whole & (clips == clip)] for clip in range(len(sequences))]


def _number(codes: np.ndarray, order: int) -> list[_Grams]:
    """N-grams of orders 0..n over all sequences joined; those across sequences are not used."""
    _, codes = np.unique(codes, return_inverse=True)
    distinct = int(codes.max()) + 1
    grams = [_Grams(np.zeros(len(codes), int), np.zeros(1, int), np.zeros(1, int))]
    for _ in range(order):
        lower = grams[-1].at
        before = np.roll(lower, 1)
        _, first, at = np.unique(before * distinct + codes, return_index=True, return_inverse=True)
        grams.append(_Grams(at, before[first], lower[first]))
    return grams


def _probability(grams: list[_Grams], train: np.ndarray, test: np.ndarray, size: int) -> np.ndarray:
    """Of the codes `tried` by the model of the highest order, taught on `taught`: (N,)."""
    counts = [np.bincount(grams[-1].at[train], minlength=len(grams[-1].prefix))]
    for gram, lower in zip(grams[:1:-1], grams[-2:0:-1], strict=True):
        preceded = np.bincount(gram.suffix[counts[0] > 0], minlength=len(lower.prefix))
        counts.insert(0, preceded)
    probability = np.full(int(test.sum()), 1 / size)
    for gram, count in zip(grams[1:], counts, strict=True):
        discount = _discount(count)
        at = gram.at[test]
        context = gram.prefix[at]
        total = np.bincount(gram.prefix, count)[context]
        kinds = np.bincount(gram.prefix, count > 0)[context]
        seen = total > 0
        estimate = np.maximum(count[at] - discount, 0) + discount * kinds * probability
        probability[seen] = (estimate / np.maximum(total, 1))[seen]
    return probability


def _discount(count: np.ndarray) -> float:
    """n1 / (n1 + 2 n2), the estimate of Ney, Essen and Kneser 1994, limited to 0.05..0.95."""
    once, twice = int((count == 1).sum()), int((count == 2).sum())
    return min(max(once / max(once + 2 * twice, 1), 0.05), 0.95)
