from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from audiotok.results import results, statistics


def test_a_mean_has_an_interval_that_narrows():
    few = np.random.default_rng(0).normal(3, 1, 20)
    many = np.random.default_rng(0).normal(3, 1, 2000)
    wide, narrow = statistics.mean_score(few, 0), statistics.mean_score(many, 1)
    assert wide["mean"] == pytest.approx(few.mean())
    assert wide["ci95"] == pytest.approx(stats.t.interval(0.95, 19, few.mean(), stats.sem(few)))
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
    means, replicates = statistics.paired_means(np.stack([one, two], axis=1))
    assert means == pytest.approx([one.mean(), two.mean()])
    low, high = replicates.difference(0, 1).ci95
    assert high - low == pytest.approx(2 * 1.96 * (one - two).std() / 20, rel=0.1)
    assert low < 0.1 < high and low > 0
    # apart, their intervals would overlap almost wholly
    assert statistics.mean_score(one, 0)["ci95"][0] < two.mean()


def test_few_speakers_give_the_t_interval_of_their_means():
    speakers = np.repeat(list("abcde"), 10)
    values = np.random.default_rng(0).normal(size=(50, 2)) + np.arange(50)[:, None] // 10
    values[:, 1] += np.random.default_rng(1).normal(0.5, 0.3, 5).repeat(10)
    _, replicates = statistics.paired_means(values, clusters=speakers)
    difference = replicates.difference(0, 1)
    by_speaker = (values[:, 0] - values[:, 1]).reshape(5, 10).mean(axis=1)
    test = stats.ttest_1samp(by_speaker, 0)
    assert difference.value == pytest.approx(by_speaker.mean())
    assert difference.ci95 == pytest.approx(test.confidence_interval())
    assert difference.p == pytest.approx(test.pvalue)
    assert replicates.clusters.method == statistics.T


def test_a_large_cluster_counts_for_less():
    labels = [*"abcd", *"e" * 50]
    clusters = statistics.Clusters(labels, 54)
    assert clusters.count == 5
    assert clusters.effective == pytest.approx(54**2 / (4 + 50**2))
    even = statistics.Clusters(labels, 54, np.array([50.0] * 4 + [1.0] * 50))
    assert even.effective == pytest.approx(5)


def test_clips_without_a_speaker_are_clusters_of_their_own():
    clusters = statistics.Clusters(["a", None, "a", float("nan"), "b", None], 6)
    assert clusters.codes.tolist() == [0, 1, 0, 2, 3, 4]
    assert statistics.Clusters(None, 3).codes.tolist() == [0, 1, 2]
    assert statistics.Clusters(["a"] * 3, 3).codes.tolist() == [0, 1, 2]  # one speaker: over clips
    empty = statistics.Clusters([], 0)
    assert (empty.count, empty.effective) == (0, 0)
    assert statistics.mean_score([1.0], 0, clusters=["a"])["ci95"] is None


def test_the_bootstrap_draws_speakers_and_clips_within_them():
    labels = [f"speaker {n}" for n in range(50) for _ in range(1 + n % 3)]
    clusters = statistics.Clusters(labels, len(labels))
    assert clusters.method == statistics.BOOTSTRAP
    counts = clusters.resamples()
    assert counts.shape == (statistics.RESAMPLES, len(labels))
    by_speaker = np.stack([counts[:, clusters.codes == n].sum(axis=1) for n in range(50)])
    sizes = np.bincount(clusters.codes)
    assert np.all(
        by_speaker % sizes[:, None] == 0
    )  # a speaker drawn brings all its number of clips
    assert np.all((by_speaker / sizes[:, None]).sum(axis=0) == 50)
    assert counts.mean() == pytest.approx(1, abs=0.02)
    assert np.any(counts[:, clusters.codes == 2].std(axis=1) > 0)  # within it clips differ
    assert np.array_equal(counts, clusters.resamples())
    assert not np.array_equal(counts, clusters.resamples(seed=1))
    with pytest.raises(ValueError, match="read-only"):  # it serves other columns too
        counts[0, 0] = 1


@pytest.mark.parametrize("count", [5, 50])
def test_a_number_that_no_resample_has_gets_no_interval(count):
    """By jackknife and by bootstrap; one missing value matters to the jackknife alone."""
    clusters = statistics.Clusters([f"s{number}" for number in range(count)], count)
    none = statistics.estimate(1.0, [np.nan] * count, clusters)
    assert (none.value, none.ci95, none.p) == (1, None, None)
    some = statistics.estimate(1.0, [np.nan, *np.linspace(0.9, 1.1, count - 1)], clusters)
    assert (some.ci95 is None) == (count == 5)


def test_weights_give_all_errors_by_all_words():
    rates, words = np.array([[0.5], [0.0], [1.0]]), np.array([[2.0], [8.0], [10.0]])
    means, replicates = statistics.paired_means(rates, words)
    assert means[0] == pytest.approx((1 + 0 + 10) / 20)
    assert np.array(replicates)[:, 0] == pytest.approx([10 / 18, 11 / 12, 1 / 10])


def simulated(sizes: list[int], icc: float) -> float:
    """The share of true ties of two codecs that are called better or worse, where their differences
    have this intraclass correlation in speakers of these numbers of clips."""
    generator, runs = np.random.default_rng(0), 3000 if len(sizes) < statistics.FEW else 1000
    speaker = np.repeat(np.arange(len(sizes)), sizes)
    differences = icc**0.5 * generator.normal(size=(len(sizes), runs))[speaker]
    differences += (1 - icc) ** 0.5 * generator.normal(size=(len(speaker), runs))
    _, paired = statistics.paired_means(differences, clusters=[f"{n}" for n in speaker])
    estimates = [
        statistics.estimate(mean, replicates, paired.clusters)
        for mean, replicates in zip(paired.means, paired.values.T, strict=True)
    ]
    corrected = [statistics.holm([one.p])[0] for one in estimates]
    verdicts = map(statistics.verdict, (e.ci95 for e in estimates), [True] * runs, corrected)
    return sum(verdict != 0 for verdict in verdicts) / runs


@pytest.mark.parametrize("icc", [0, 0.1, 0.3, 0.9])
@pytest.mark.parametrize(
    "sizes",
    [
        [10] * 5,  # the t interval, as in results/sound-v1
        [10, 10, 20, 40, 80],  # speakers with more clips than others
        [10] * 5 + [1] * 8,  # the bundled corpus
        [5] * 45,  # the bootstrap
    ],
    ids=["even", "uneven", "bundled", "many"],
)
def test_false_verdicts_are_as_rare_as_the_level_says(sizes, icc):
    assert simulated(sizes, icc) <= 0.06


def test_clips_alone_would_call_many_false_verdicts():
    """The simulation can fail: without speakers, the same differences are called far too often."""
    generator = np.random.default_rng(0)
    differences = 0.3**0.5 * generator.normal(size=(5, 300)).repeat(10, axis=0)
    differences += 0.7**0.5 * generator.normal(size=(50, 300))
    _, replicates = statistics.paired_means(differences)
    intervals = np.percentile(replicates.values, statistics.EDGES, axis=0)
    assert 0.25 < np.mean((intervals[0] > 0) | (intervals[1] < 0)) < 0.45


def test_holm():
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.9, 0.8]) == [1, 1]
    assert statistics.holm([]) == []


def test_one_false_verdict_among_many_columns_is_as_rare_as_the_level_says():
    p = np.random.default_rng(0).uniform(size=(2000, 30))
    false_rate = np.mean([min(statistics.holm(row)) <= statistics.LEVEL for row in p])
    assert 0.03 < false_rate < 0.065 < np.mean(p.min(axis=1) <= statistics.LEVEL)


def test_ranks_are_shared_by_what_cannot_be_told_apart():
    generator = np.random.default_rng(0)
    hard = generator.normal(0, 1, 300)
    codecs = [hard + generator.normal(shift, 0.1, 300) for shift in (1.0, 0.0, 0.001, -1.0)]
    _, replicates = statistics.paired_means(np.stack(codecs, axis=1))
    assert statistics.ranks(replicates, True) == [1, 2, 2, 4]
    assert statistics.ranks(replicates, False) == [4, 2, 2, 1]


def test_equal_numbers_are_a_tie_and_a_constant_difference_is_none():
    values = np.random.default_rng(0).normal(size=(20, 1)) * [1, 1, 1] + [0, 0, 0.25]
    _, replicates = statistics.paired_means(values, clusters=list("abcd") * 5)
    same, apart = replicates.difference(0, 1), replicates.difference(2, 0)
    assert (same.value, same.p) == (0, 1) and statistics.verdict(same.ci95, True, same.p) == 0
    assert apart.ci95 == pytest.approx([0.25, 0.25]) and apart.p < 1e-6
    rounded = values * (1 + 1e-16 * np.arange(3))  # last bits
    _, replicates = statistics.paired_means(rounded, clusters=list("abcd") * 5)
    assert replicates.difference(0, 1).p == 1


@pytest.mark.parametrize(
    ("ci95", "higher", "expected"),
    [
        ([0.1, 0.2], True, 1), ([0.1, 0.2], False, -1), ([-0.2, -0.1], True, -1),
        ([-0.2, -0.1], False, 1), ([-0.1, 0.1], True, 0), ([0.0, 0.1], True, 0),
        (None, True, None), ([0.1, 0.2], None, None),
    ],
)  # fmt: skip
def test_the_verdict_follows_the_declared_direction(ci95, higher, expected):
    assert statistics.verdict(ci95, higher) == expected
    assert statistics.verdict(ci95, higher, 0.05) == expected
    if expected is not None:
        assert statistics.verdict(ci95, higher, 0.06) == 0


def test_random_numbers_of_the_site():
    """statistics.js draws the same: what mulberry32 with seed 0 gives first."""
    first = statistics._uniform(np.arange(3), 0)
    assert first == pytest.approx([0.26642920868, 0.00032974570, 0.22327202744], abs=1e-9)
    assert len(set(itertools.chain(first, statistics._uniform(np.arange(3), 1)))) > 3


def test_the_bootstrap_draws_clusters_and_then_clips_as_the_page_does():
    """Written again with loops: a number of its own for each cluster and each clip drawn."""

    def uniform(index):
        return float(statistics._uniform(np.array([index]), 0)[0])

    labels = [f"s{number % 45}" for number in range(100)]  # of 2 or 3 clips
    clusters = statistics.Clusters(labels, 100)
    assert clusters.method == statistics.BOOTSTRAP
    clips = [[n for n in range(100) if n % 45 == number] for number in range(45)]
    draws, total = 3, 3 * 45
    expected = np.zeros((draws, 100))
    for which in range(total):
        own = clips[int(uniform(which) * 45)]
        for place in range(len(own)):
            drawn = own[int(uniform(which + (place + 1) * total) * len(own))]
            expected[which // 45, drawn] += 1
    assert np.array_equal(clusters.resamples(draws), expected)
