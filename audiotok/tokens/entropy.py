"""Entropy of codes, corrected for the sample size; and the coverage of the source by the sample.

The entropy of the frequencies of n codes (the plug-in estimate) is below that of their source, by
more if there are fewer codes per codeword. `entropy` is the estimator of Chao, Wang and Jost 2013
("Entropy and the species accumulation curve", Methods in Ecology and Evolution 4, equation 9): a
sum that is exact for frequent codes, plus a term for unseen codes, computed from the numbers of
codes seen once and twice. For 1024 uniform codes its bias is below 0.02 bit from n = 1000 on
(plug-in: -0.84 bit at 1000, -0.28 at 3000); for 65536 codes with a Zipf distribution it is -0.7 bit
at 3000, -0.3 at 12000.
"""

from __future__ import annotations

import math

import numpy as np

_TAIL = 60.0  # upper limit of the integral: e^-u is negligible there


def plug_in(counts: np.ndarray) -> float:
    """Entropy in bits of the frequencies, uncorrected; `counts` of each code, zeros allowed."""
    counts = counts[counts > 0]
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())


def entropy(counts: np.ndarray, size: int | None = None) -> float:
    """Entropy in bits of the source, by Chao, Wang and Jost.

    Args:
        counts: of each code; zeros are allowed.
        size: number of possible codes; limits the estimate to log2(size).
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
    the sum itself would lose all digits by cancellation.
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
    """Good's estimate of the probability that the next code was seen before (Good 1953)."""
    return float(1 - (counts == 1).sum() / counts.sum())


def pair_counts(sequences: list[np.ndarray], size: int) -> np.ndarray:
    """Counts of the pairs of adjacent codes that occur; `sequences` of codes below `size`."""
    pairs = [row[:-1].astype(np.int64) * size + row[1:] for row in sequences]
    return np.unique(np.concatenate(pairs), return_counts=True)[1] if pairs else np.zeros(0, int)


def conditional_entropy(sequences: list[np.ndarray], size: int) -> float:
    """Entropy in bits of a code given the previous one: that of pairs minus that of first codes.

    Both are corrected; the result is between 0 and the entropy of a code. There are many possible
    pairs, so the correction may be insufficient: check `coverage` of `pair_counts`. For a Markov
    chain over 64 codes with 8 successors each, the bias is below 0.05 bit from a coverage of 0.8
    on.
    """
    firsts = np.bincount(np.concatenate([row[:-1] for row in sequences]), minlength=size)
    nexts = np.bincount(np.concatenate([row[1:] for row in sequences]), minlength=size)
    bits = entropy(pair_counts(sequences, size), size * size) - entropy(firsts, size)
    return min(max(bits, 0.0), entropy(nexts, size))
