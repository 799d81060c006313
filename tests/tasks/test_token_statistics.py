"""Bitrates, usage and perplexity by hand, and against draws from an even codebook."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiotok import tasks
from audiotok.sound.audio import Audio
from audiotok.tasks import Item
from audiotok.tasks.tokens import uniform_entropy, usage
from audiotok.tokens import Tokens


def _tokens(codes, sizes, strides=(), seconds=1.0):
    return Tokens(
        torch.tensor(codes), "toy", "0" * 64, int(16_000 * seconds), 16_000, sizes, strides
    )


def _item(tokens):
    sound = Audio(torch.zeros(1, 16_000), 16_000)
    return Item(clip=None, reference=sound, reconstruction=sound, tokens=tokens)


def test_by_hand():
    one = _tokens([[[0, 0, 1, 1], [5, 5, 5, 5]]], (4, 8))
    two = _tokens([[[0, 0, 1, 1], [5, 5, 5, 5]]], (4, 8), seconds=3.0)
    task = tasks.get("tokens")
    row = task.score(_item(one))
    assert row["token_rate"] == 8
    assert row["bitrate"] == 4 * 2 + 4 * 3
    assert row["file_bitrate"] == 8 * len(one.to_bytes())
    totals = task.summarise(None, [one, two])
    assert totals["token_rate"] == 16 / 4
    assert totals["bitrate"] == 40 / 4
    bits = sum(1 / k for k in range(4, 8)) / math.log(2)  # 4 of 8 each: psi(8) - psi(4)
    assert totals["entropy_bitrate"] == pytest.approx(8 * bits / 4)
    assert totals["entropy"] == pytest.approx(bits / 2)  # the other codebook is constant
    assert totals["codebook_usage"] == pytest.approx((2 / 4 + 1 / 8) / 2)
    assert totals["perplexity"] == pytest.approx(math.sqrt(2))
    assert totals["codes_counted"] == 8
    predicted = task.conclude(None, [one, None, two], print)
    assert set(predicted) == {0, 2}
    assert set(totals) | set(predicted[0]) == {column.name for column in task.columns}
    details = task.details(None, [one, two])
    assert details["codebook_usage"] == [2 / 4, 1 / 8]
    assert details["entropy"] == [pytest.approx(bits), 0]
    assert details["pair_coverage"] == [1, 1]


def test_only_free_codes_are_counted():
    """The second codebook is free every other frame: half its codes are repetitions."""
    tokens = _tokens([[[0, 1, 2, 3], [1, 1, 0, 0]]], (4, 2), strides=(1, 2))
    row = tasks.get("tokens").score(_item(tokens))
    assert row["token_rate"] == 6
    assert row["bitrate"] == 4 * 2 + 2 * 1
    assert tasks.get("tokens").summarise(None, [tokens])["codes_counted"] == 2


def test_the_ceiling_row_has_no_tokens():
    assert tasks.get("tokens").score(_item(None)) == {}
    assert tasks.get("tokens").summarise(None, []) == {}
    assert tasks.get("tokens").conclude(None, None, print) == {}
    assert tasks.get("tokens").details(None, []) == {}


def _corpus(make, clips=40, frames=250, size=64):
    return [_tokens([[make(clip, frames).tolist()]], (size,)) for clip in range(clips)]


def _noise(clip, frames):
    return np.random.default_rng(clip).integers(0, 64, frames)


def _summary(tokens):
    task = tasks.get("tokens")
    whole = task.conclude(None, tokens, print).values()
    means = {key: np.mean([one[key] for one in whole]) for key in next(iter(whole))}
    return means | task.summarise(None, tokens)


def test_a_codec_of_pure_noise_is_worth_its_bits():
    totals = _summary(_corpus(_noise))
    for bits in ("entropy", "conditional_entropy"):
        assert totals[bits] == pytest.approx(6, abs=0.05)
    assert 6 <= totals["ngram_bits"] < 6.5
    assert -0.1 < totals["ngram_predictability"] <= 0
    assert totals["lzma_ratio"] == pytest.approx(1, abs=0.05)
    assert totals["entropy_bitrate"] == pytest.approx(totals["bitrate"], rel=0.01)
    assert totals["codebook_usage"] == totals["codebook_usage_ceiling"] == 1


def test_a_codec_that_always_says_the_same_is_worth_nothing():
    totals = _summary(_corpus(lambda clip, frames: np.full(frames, 7)))
    assert totals["entropy"] == totals["conditional_entropy"] == totals["entropy_bitrate"] == 0
    assert totals["ngram_bits"] < 1e-4 and totals["ngram_bitrate"] < 0.1
    assert totals["lzma_ratio"] < 0.01
    assert totals["perplexity"] == 1


def test_a_codec_whose_codes_follow_a_rule_is_predictable_from_context_alone():
    totals = _summary(_corpus(lambda clip, frames: (clip + 5 * np.arange(frames)) % 64))
    assert totals["entropy"] == pytest.approx(6, abs=0.01)
    assert totals["conditional_entropy"] == pytest.approx(0, abs=0.01)
    assert totals["ngram_bits"] < 0.01 and totals["ngram_predictability"] > 0.99


def test_pairs_that_were_hardly_seen_give_no_conditional_entropy():
    few = _corpus(_noise, clips=4, frames=100)
    totals = tasks.get("tokens").summarise(None, few)
    assert totals["pair_coverage"] < 0.5 and "conditional_entropy" not in totals
    assert tasks.get("tokens").details(None, few)["conditional_entropy"] == [None]


def test_clips_too_short_for_a_context_have_no_ngrams():
    tokens = [*_corpus(_noise, clips=3), _tokens([[[1, 2]]], (64,))]
    rows = tasks.get("tokens").conclude(None, tokens, print)
    assert rows[0] and rows[3] == {}
    assert tasks.get("tokens").conclude(None, tokens[:1], print) == {}


@pytest.mark.parametrize(("n", "size"), [(50, 4096), (2000, 4096), (20_000, 1024), (1000, 2)])
def test_even_draws_reach_their_ceiling(n, size):
    draws = np.random.default_rng(0).integers(0, size, n)
    statistics = usage([np.bincount(draws, minlength=size)])
    assert statistics["codebook_usage"] == pytest.approx(
        statistics["codebook_usage_ceiling"], rel=0.03
    )
    assert statistics["perplexity"] == pytest.approx(statistics["perplexity_ceiling"], rel=0.03)


@settings(deadline=None, max_examples=50)
@given(n=st.integers(1, 6), size=st.integers(2, 4))
def test_uniform_entropy_is_the_mean_over_all_draws(n, size):
    def entropy(draw):
        p = np.bincount(draw) / n
        return -sum(q * math.log2(q) for q in p if q)

    draws = np.stack(np.meshgrid(*[np.arange(size)] * n), -1).reshape(-1, n)
    expected = np.mean([entropy(draw) for draw in draws])
    assert uniform_entropy(n, size) == pytest.approx(expected, abs=1e-9)
