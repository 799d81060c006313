"""Bitrates, usage and perplexity by hand, and against draws from an even codebook."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiotok import tasks
from audiotok.audio import Audio
from audiotok.tasks import Item
from audiotok.tasks.tokens import even_entropy, usage
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
    found = task.summarise(None, [one, two])
    assert found["token_rate"] == 16 / 4
    assert found["bitrate"] == 40 / 4
    assert found["entropy_bitrate"] == pytest.approx(8 / 4)  # 1 bit and 0 bits a code
    assert found["codebook_usage"] == pytest.approx((2 / 4 + 1 / 8) / 2)
    assert found["perplexity"] == pytest.approx(math.sqrt(2))
    assert found["codes_counted"] == 8
    assert set(found) == {column.name for column in task.columns}


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


@pytest.mark.parametrize(("n", "size"), [(50, 4096), (2000, 4096), (20_000, 1024), (1000, 2)])
def test_even_draws_reach_their_ceiling(n, size):
    draws = np.random.default_rng(0).integers(0, size, n)
    found = usage([np.bincount(draws, minlength=size)])
    assert found["codebook_usage"] == pytest.approx(found["codebook_usage_ceiling"], rel=0.03)
    assert found["perplexity"] == pytest.approx(found["perplexity_ceiling"], rel=0.03)


@settings(deadline=None, max_examples=50)
@given(n=st.integers(1, 6), size=st.integers(2, 4))
def test_even_entropy_is_the_mean_over_all_draws(n, size):
    def entropy(draw):
        p = np.bincount(draw) / n
        return -sum(q * math.log2(q) for q in p if q)

    draws = np.stack(np.meshgrid(*[np.arange(size)] * n), -1).reshape(-1, n)
    expected = np.mean([entropy(draw) for draw in draws])
    assert even_entropy(n, size) == pytest.approx(expected, abs=1e-9)
