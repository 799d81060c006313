"""Estimators against sources of known entropy, and against the published sum term by term."""

import math

import numpy as np
import pytest

from audiotok.tokens.entropy import conditional_entropy, coverage, entropy, pair_counts, plug_in


def _zipf(size):
    share = 1 / np.arange(1, size + 1)
    return share / share.sum()


def _bias(share, n, draws=10):
    generator = np.random.default_rng(0)
    result = [generator.multinomial(n, share) for _ in range(draws)]
    truth = plug_in(share)
    return (np.mean([f(c) for c in result]) - truth for f in (entropy, plug_in))


@pytest.mark.parametrize(
    ("share", "n", "most"),
    [
        (np.full(1024, 1 / 1024), 1000, 0.03),
        (np.full(1024, 1 / 1024), 12_000, 0.002),
        (np.full(4096, 1 / 4096), 3000, 0.03),
        (_zipf(1024), 1000, 0.15),
        (_zipf(1024), 12_000, 0.02),
        (_zipf(4096), 12_000, 0.04),
        (0.5 ** np.arange(1, 30) / (1 - 0.5**29), 300, 0.03),
    ],
)
def test_bias_is_small_where_that_of_frequencies_is_not(share, n, most):
    ours, frequencies = _bias(share, n)
    assert abs(ours) < most
    assert abs(ours) < abs(frequencies) / 2


def test_the_published_sum_term_by_term():
    """Equation 9 of Chao, Wang and Jost 2013, as it stands there."""
    counts = np.array([1, 1, 1, 2, 2, 5, 8, 0])
    n, once, twice = 20, 3, 2
    seen = sum(x / n * sum(1 / k for k in range(x, n)) for x in (1, 1, 1, 2, 2, 5, 8))
    rare = 2 * twice / ((n - 1) * once + 2 * twice)
    tail = -math.log(rare) - sum((1 - rare) ** r / r for r in range(1, n))
    expected = seen + once / n * (1 - rare) ** (1 - n) * tail
    assert entropy(counts) == pytest.approx(expected / math.log(2), rel=1e-9)


def test_edges():
    assert entropy(np.array([0, 9, 0])) == 0
    assert entropy(np.array([1])) == 0
    assert entropy(np.ones(50, int), 64) == 6  # nothing was seen twice: as much as there can be
    assert plug_in(np.array([2, 2, 0, 4])) == 1.5
    assert coverage(np.array([1, 3, 1, 5])) == 0.8


def test_large_samples_keep_their_digits():
    counts = np.full(100_000, 30)
    counts[:3] = 1, 1, 2
    expected = (1 / np.arange(30, counts.sum())).sum() / math.log(2)
    assert entropy(counts) == pytest.approx(expected, abs=1e-4)


def _chain(size, followers, frames, clips=60, seed=0):
    generator = np.random.default_rng(seed)
    nexts = np.stack([generator.permutation(size)[:followers] for _ in range(size)])
    state = generator.integers(size, size=clips)
    rows = [state]
    for _ in range(frames - 1):
        state = nexts[state, generator.integers(followers, size=clips)]
        rows.append(state)
    return list(np.stack(rows, 1))


@pytest.mark.parametrize(("size", "followers", "frames"), [(64, 8, 50), (256, 16, 200)])
def test_conditional_entropy_of_chains(size, followers, frames):
    chain = _chain(size, followers, frames)
    assert coverage(pair_counts(chain, size)) > 0.9
    assert conditional_entropy(chain, size) == pytest.approx(math.log2(followers), abs=0.05)


def test_pairs_by_hand():
    rows = [np.array([0, 1, 0, 1]), np.array([1]), np.array([1, 0])]
    assert sorted(pair_counts(rows, 2)) == [2, 2]
    assert conditional_entropy([np.array([0, 1] * 50)], 2) == pytest.approx(0, abs=0.02)
