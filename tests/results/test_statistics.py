from __future__ import annotations

import numpy as np
import pytest

from audiotok.results import results, statistics


def test_a_mean_has_an_interval_that_narrows():
    few = np.random.default_rng(0).normal(3, 1, 20)
    many = np.random.default_rng(0).normal(3, 1, 2000)
    wide, narrow = statistics.mean_score(few, 0), statistics.mean_score(many, 1)
    assert wide["mean"] == pytest.approx(few.mean())
    assert wide["ci95"][0] < wide["mean"] < wide["ci95"][1]
    # 1.96 standard errors on each side
    width = narrow["ci95"][1] - narrow["ci95"][0]
    assert width == pytest.approx(2 * 1.96 / np.sqrt(2000), rel=0.1)
    assert (narrow["n"], narrow["failed"]) == (2000, 1)
    assert statistics.mean_score(few, 0) == wide


def test_nothing_measured_is_missing_not_zero():
    score = statistics.mean_score([], 3)
    assert score == {"mean": None, "ci95": None, "n": 0, "failed": 3}
    assert statistics.mean_score([2.0], 0)["ci95"] is None
    assert results.cell(score | {"digits": 2}) == "– (3 failed)"
    assert results.cell(None) == "–"


def test_the_interval_of_a_paired_difference_is_that_of_theory():
    """Two codecs that differ by 0.1 with a spread of 0.2 on clips that differ by much more."""
    generator = np.random.default_rng(1)
    hard = generator.normal(0, 5, 400)  # what makes a clip hard for both
    one = hard + generator.normal(0.1, 0.2, 400)
    two = hard
    means, drawn = statistics.paired_means(np.stack([one, two], axis=1))
    assert means == pytest.approx([one.mean(), two.mean()])
    low, high = statistics.interval(drawn[:, 0] - drawn[:, 1])
    assert high - low == pytest.approx(2 * 1.96 * (one - two).std() / 20, rel=0.1)
    assert low < 0.1 < high and low > 0
    # apart, their intervals would overlap almost wholly
    assert statistics.mean_score(one, 0)["ci95"][0] < two.mean()


def test_weights_give_all_errors_by_all_words():
    rates, words = np.array([[0.5], [0.0], [1.0]]), np.array([[2.0], [8.0], [10.0]])
    means, drawn = statistics.paired_means(rates, words)
    assert means[0] == pytest.approx((1 + 0 + 10) / 20)
    assert drawn.shape == (statistics.RESAMPLES, 1)
    assert set(np.round(drawn[:, 0], 6)) >= {0.0, 0.5, 1.0, 0.55}


def test_the_interval_covers_the_truth_as_often_as_it_says():
    hits = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(0, 1, (60, 2))
        _, drawn = statistics.paired_means(values)
        low, high = statistics.interval(drawn[:, 0] - drawn[:, 1])
        hits += low <= 0 <= high
    assert 0.90 <= hits / 200 <= 0.985


def test_ranks_are_shared_by_what_cannot_be_told_apart():
    generator = np.random.default_rng(0)
    hard = generator.normal(0, 1, 300)
    codecs = [hard + generator.normal(shift, 0.1, 300) for shift in (1.0, 0.0, 0.001, -1.0)]
    _, drawn = statistics.paired_means(np.stack(codecs, axis=1))
    assert statistics.ranks(drawn, True) == [1, 2, 2, 4]
    assert statistics.ranks(drawn, False) == [4, 2, 2, 1]


@pytest.mark.parametrize(
    ("ci95", "higher", "said"),
    [
        ([0.1, 0.2], True, 1), ([0.1, 0.2], False, -1), ([-0.2, -0.1], True, -1),
        ([-0.2, -0.1], False, 1), ([-0.1, 0.1], True, 0), ([0.0, 0.1], True, 0),
        (None, True, None), ([0.1, 0.2], None, None),
    ],
)  # fmt: skip
def test_the_verdict_follows_the_declared_direction(ci95, higher, said):
    assert statistics.verdict(ci95, higher) == said
