"""Kendall's tau of two numbers: by hand, over speakers, and not for few points."""

from __future__ import annotations

import numpy as np
import pytest
from support import result_kit

from audiotok.results import rank_correlation, results, statistics

SPEAKERS = ["a", "a", "b", "b", "c", "c"]


def put(root, column, numbers, noise=0.0, **options):
    """A codec for each number, with six clips of three speakers around it."""
    generator = np.random.default_rng(0)
    for place, number in enumerate(numbers):
        rows = {column: list(number + noise * generator.standard_normal(6))}
        options = {"speaker": SPEAKERS} | options
        result_kit.put(root, f"codec{place}", rows, **options)


def found(root, first="stoi", second="mel_distance", **options):
    return rank_correlation.agreement(results.read_all(root), first, second, **options)


def test_equal_and_opposite_orders(tmp_path):
    put(tmp_path, "stoi", np.arange(8) / 10)
    put(tmp_path, "mel_distance", -np.arange(8) / 10, data="others")  # lower is better
    put(tmp_path, "pesq", -np.arange(8) / 10, data="third")
    assert found(tmp_path).tau == pytest.approx(1)
    assert found(tmp_path, "stoi", "pesq").tau == pytest.approx(-1)
    assert "same without any one of 3 speakers" in found(tmp_path).reason


def test_tau_by_hand_and_an_interval_over_speakers(tmp_path):
    put(tmp_path, "stoi", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], noise=0.15)
    put(tmp_path, "pesq", [2, 1, 3, 4, 5, 6, 8, 7], noise=2.0, data="others")
    found_ = found(tmp_path, "stoi", "pesq")
    rows = [r.rows[c].mean() for c in ("stoi", "pesq") for r in results.read_all(tmp_path)
            if c in r.scores]  # fmt: skip
    first, second = np.reshape(rows, (2, 8))
    pairs = [(i, j) for i in range(8) for j in range(i)]
    signs = [np.sign((first[i] - first[j]) * (second[i] - second[j])) for i, j in pairs]
    assert found_.tau == pytest.approx(np.mean(signs))
    low, high = found_.ci95
    assert -1 <= low < found_.tau < high <= 1 and found_.speakers == 3


def test_speakers_of_another_corpus_are_left_out_by_themselves(tmp_path):
    put(tmp_path, "stoi", np.arange(9) / 10, noise=0.1)
    put(tmp_path, "pesq", np.arange(9), noise=1.5, data="others", speaker=["x", "x", *"yyzz"])
    assert found(tmp_path, "stoi", "pesq").speakers == 6


def test_fewer_points_have_no_tau(tmp_path):
    put(tmp_path, "stoi", np.arange(8) / 10)
    put(tmp_path, "mel_distance", np.arange(7) / 10, data="others")
    agreement = found(tmp_path)
    assert agreement.tau is None and len(agreement.codecs) == 7
    assert agreement.reason == "7 points have both: no tau for fewer than 8"
    assert found(tmp_path, "stoi", "nothing").tau is None
    table = rank_correlation.table(results.read_all(tmp_path), ["stoi"], ["mel_distance", "pesq"])
    assert list(table.points) == [7, 0] and table.tau.isna().all()


def test_the_settings_that_share_most_codecs_are_compared(tmp_path):
    put(tmp_path, "stoi", np.arange(10) / 10, data="large")
    put(tmp_path, "stoi", np.arange(8) / 10, data="small")
    put(tmp_path, "pesq", np.arange(8), data="small", version=2)
    for place in range(3):
        result_kit.put(tmp_path, f"other{place}", {"stoi": [0.5] * 6}, data="large")
    assert len(found(tmp_path, "stoi", "pesq").codecs) == 8


def test_references_and_random_codes_are_no_points(tmp_path):
    put(tmp_path, "stoi", np.arange(8) / 10, role="baseline")
    put(tmp_path, "pesq", np.arange(8), role="baseline", data="others")
    assert found(tmp_path, "stoi", "pesq").codecs == ()


def test_unknown_speakers_have_no_interval(tmp_path):
    put(tmp_path, "stoi", np.arange(8) / 10, noise=0.1, speaker=None)
    put(tmp_path, "pesq", np.arange(8), noise=1.0, data="others", speaker=None)
    agreement = found(tmp_path, "stoi", "pesq")
    assert agreement.tau is not None and agreement.ci95 is None
    assert "fewer than two speakers are known" in agreement.reason


def many(labels):
    """Two resamples of so many clips: four points have the tau 1 in the first, 0 in the second."""
    first, second = np.array([[1, 2, 3, 4]] * 2), np.array([[1, 2, 3, 4], [2, 4, 1, 3]])
    clusters = statistics.Clusters(labels, len(labels))
    assert clusters.method == statistics.BOOTSTRAP
    return rank_correlation._resampled([first[0]] * 2, [(first, clusters), (second, clusters)])


def test_a_tau_of_zero_counts_in_resamples_of_many_speakers():
    speakers, taus, _ = many([f"s{number // 2}" for number in range(80)])
    assert speakers == 40 and taus == [1.0, 0.0]


@pytest.mark.parametrize("labels", [[None] * 80, ["a"] * 80, [*map(str, range(60)), None]])
def test_many_clips_are_not_taken_for_speakers(labels):
    assert many(labels) == (0, [], None)


def test_all_points_alike_have_no_tau(tmp_path):
    put(tmp_path, "stoi", [0.5] * 8)
    put(tmp_path, "pesq", np.arange(8), data="others")
    assert found(tmp_path, "stoi", "pesq").reason == "all points have one value"
    put(tmp_path, "words", np.arange(8), data="third")
    assert "words has no direction" in found(tmp_path, "words", "pesq").reason
