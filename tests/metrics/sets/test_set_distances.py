"""Distances of Gaussian sets whose distance is known, of a set to itself, of small and large n."""

from __future__ import annotations

import numpy as np
import pytest

from audiotok import metrics
from audiotok.errors import MetricError
from audiotok.metrics.sets import frechet, kld, mmd

DIMENSION = 8
SHIFT, SCALE = 0.5, 1.5  # of the second Gaussian, in each dimension
EXACT = DIMENSION * (SHIFT**2 + (SCALE - 1) ** 2)


def gaussians(n, seed=0, dimension=DIMENSION):
    generator = np.random.default_rng(seed)
    first, second = generator.standard_normal((2, n, dimension))
    return first, SHIFT + SCALE * second


def test_frechet_of_known_gaussians():
    assert frechet.distance(*gaussians(50_000)) == pytest.approx(EXACT, rel=0.02)


def test_frechet_is_the_formula_with_a_matrix_square_root():
    from scipy.linalg import sqrtm

    for n in (5, 60):  # fewer and more sounds than dimensions
        first, second = gaussians(n)
        second = second @ np.random.default_rng(1).standard_normal((DIMENSION, DIMENSION))
        a, b = np.cov(first.T), np.cov(second.T)
        expected = np.square(first.mean(0) - second.mean(0)).sum() + np.trace(a + b)
        expected -= 2 * np.trace(sqrtm(a @ b)).real
        assert frechet.distance(first, second) == pytest.approx(expected, rel=1e-4)


def test_few_sounds_have_a_bias_which_the_limit_removes():
    few = [gaussians(64, seed) for seed in range(12)]
    raw = np.mean([frechet.distance(*sets) for sets in few])
    extended = np.mean([frechet.limit(*sets) for sets in few])
    assert raw > 1.15 * EXACT
    assert extended == pytest.approx(EXACT, rel=0.08)
    assert frechet.halves(few[0][0]) > 0.3, "halves of one set show the bias"


def test_the_limit_needs_more_sounds_than_dimensions():
    with pytest.raises(MetricError, match="31 sounds are too few .* 8 dimensions: 32 are needed"):
        frechet.limit(*gaussians(31))


def test_mmd_of_known_gaussians_at_any_size():
    width = 2 * DIMENSION * 0.918  # the median of a chi-squared distribution, times 2

    def expected(variance, shift):  # E exp(-d / 2w) of d the square of a Gaussian
        spread = 1 + variance / width
        return (spread**-0.5 * np.exp(-(shift**2) / (2 * width * spread))) ** DIMENSION

    exact = expected(2, 0) + expected(2 * SCALE**2, 0) - 2 * expected(1 + SCALE**2, SHIFT)
    for n, draws in ((20, 200), (400, 4)):
        for paired in (False, True):
            found = [mmd.squared(*gaussians(n, s), paired=paired) for s in range(draws)]
            assert np.mean(found) == pytest.approx(exact, rel=0.1), (n, paired)


def test_equal_distributions_have_distance_0_on_average():
    found = [
        mmd.squared(*np.random.default_rng(s).standard_normal((2, 15, DIMENSION)))
        for s in range(300)
    ]
    assert abs(np.mean(found)) < 3 * np.std(found) / len(found) ** 0.5
    assert min(found) < 0 < max(found)


def test_a_set_against_itself():
    first, _ = gaussians(30)
    assert mmd.squared(first, first, paired=True) == pytest.approx(0, abs=1e-12)
    assert frechet.distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet.distance(first, first[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet.limit(np.tile(first, (2, 1)), np.tile(first, (2, 1)), paired=True) == (
        pytest.approx(0, abs=1e-9)
    )


def test_resamples_do_not_compare_a_clip_with_its_copies():
    first, second = gaussians(25)
    counts = np.random.default_rng(0).integers(0, 3, 25)
    kept = counts > 0
    ones = mmd.squared(first[kept], second[kept], paired=True)
    assert mmd.squared(
        first[kept], second[kept], paired=True, weights=np.ones(kept.sum())
    ) == pytest.approx(ones)
    generator, found = np.random.default_rng(1), []
    for _ in range(400):
        drawn = np.bincount(generator.integers(25, size=25), minlength=25)
        found.append(mmd.squared(first, second, paired=True, weights=drawn))
    assert np.mean(found) == pytest.approx(mmd.squared(first, second, paired=True), rel=0.1)


def test_kld_by_hand():
    reference, other = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.25, 0.75], [0.5, 0.5]])
    by_hand = [0.5 * np.log(2) + 0.5 * np.log(2 / 3), np.log(2)]
    assert kld.divergences(reference, other) == pytest.approx(by_hand)
    assert kld.divergence(reference, other) == pytest.approx(np.mean(by_hand))
    assert kld.divergence(reference, reference) == 0
    with pytest.raises(MetricError, match="each row with the sum 1"):
        kld.divergence(2 * reference, other)


@pytest.mark.parametrize("measure", [frechet.distance, mmd.squared])
def test_sets_that_have_no_distance(measure):
    first, second = gaussians(4)
    for a, b in ((first, second[:, 1:]), (first[0], second[0]), (first[:1], second)):
        with pytest.raises(MetricError, match="embeddings of shapes"):
            measure(a, b)
    with pytest.raises(MetricError, match="not finite"):
        measure(first, np.where(second > second.max() - 1e-9, np.nan, second))
    with pytest.raises(MetricError, match="equally many rows"):
        mmd.squared(first, second[:3], paired=True)
    with pytest.raises(MetricError, match="equal embeddings"):
        mmd.squared(np.ones((3, 2)), np.ones((3, 2)))


def test_distances_of_sets_are_no_metrics_of_pairs():
    assert "sets" not in metrics.names()
