"""Entropy of codes, corrected for the size of the sample; how much of their source was seen.

Frequencies of n codes understate the entropy of their source, the more so the fewer codes there are
for each codeword. `entropy` is the estimator of Chao, Wang and Jost 2013 ("Entropy and the species
accumulation curve", Methods in Ecology and Evolution 4, equation 9): the sum that is exact for
codes seen often, and for those never seen a tail from the numbers of codes seen once and twice. For
1024 even codes its bias is below 0.02 bit from n = 1000 on (plug-in: -0.84 bit at 1000, -0.28 at
3000); for 65536 codes by Zipf's law it is -0.7 bit at 3000, -0.3 at 12000.
"""

from __future__ import annotations

import math

import numpy as np

_TAIL = 60.0  # where e^-u has vanished


def plug_in(counts: np.ndarray) -> float:
    """Entropy in bits of the frequencies as they are; `counts` of each code, zeros allowed."""
    counts = counts[counts > 0]
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())


def entropy(counts: np.ndarray, size: int | None = None) -> float:
    """Entropy in bits of the source, by Chao, Wang and Jost.

    Args:
        counts: how often each code was seen; zeros are allowed.
        size: number of codes there are: no estimate is above log2(size).
    """
    from scipy.special import digamma

    counts = counts[counts > 0].astype(np.float64)
    n, once = counts.sum(), float((counts == 1).sum())
    nats = float((counts / n * (digamma(n) - digamma(counts))).sum())
    if once:
        nats += once / n * _unseen(n, once, float((counts == 2).sum()))
    bits = float(nats) / math.log(2)
    return bits if size is None else min(bits, math.log2(size))


def _unseen(n: float, once: float, twice: float) -> float:
    """(1 - A)^(1 - n) (-ln A - sum over r < n of (1 - A)^r / r), A the mean share of rare codes.

    As the integral over x in 0..1 of (1 - A) x^(n - 1) / (1 - (1 - A) x), with x = 1 - u / n:
    the sum itself loses all its digits.
    """
    from scipy.integrate import quad

    rare = 2 * twice / ((n - 1) * once + 2 * twice) if twice else 2 / ((n - 1) * (once - 1) + 2)
    if rare >= 1:
        return 0.0

    def integrand(u: float) -> float:
        return (1 - u / n) ** (n - 1) * (1 - rare) / (n * rare + (1 - rare) * u)

    edges = [0.0, min(n, 1.0), min(n, _TAIL)]
    return sum(
        quad(integrand, low, high, limit=200)[0]
        for low, high in zip(edges, edges[1:], strict=False)
    )


def coverage(counts: np.ndarray) -> float:
    """Good's estimate of the probability that the next code is one that was seen (Good 1953)."""
    return float(1 - (counts == 1).sum() / counts.sum())


def pair_counts(sequences: list[np.ndarray], size: int) -> np.ndarray:
    """How often each pair of neighbours that occurs was seen; `sequences` of codes below `size`."""
    pairs = [row[:-1].astype(np.int64) * size + row[1:] for row in sequences]
    return np.unique(np.concatenate(pairs), return_counts=True)[1] if pairs else np.zeros(0, int)


def conditional_entropy(sequences: list[np.ndarray], size: int) -> float:
    """Entropy in bits of a code where the one before is known: that of pairs less that of firsts.

    Both are corrected; the result is between 0 and the entropy of a code. Pairs are many, so the
    correction reaches its limits early: see `coverage` of `pair_counts`. Of a chain over 64 codes
    with 8 followers each the bias is below 0.05 bit from a coverage of 0.8 on.
    """
    firsts = np.bincount(np.concatenate([row[:-1] for row in sequences]), minlength=size)
    nexts = np.bincount(np.concatenate([row[1:] for row in sequences]), minlength=size)
    bits = entropy(pair_counts(sequences, size), size * size) - entropy(firsts, size)
    return min(max(bits, 0.0), entropy(nexts, size))
