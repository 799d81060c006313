"""Codebook search gives the reference's codes, near ties and odd values included."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiotok.kernels import reference, vq_argmin


def draw(*shape, seed=0, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def test_a_case_by_hand():
    codebook = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    latents = torch.tensor([[0.9, 0.1], [0.1, 1.9], [-5.0, 0.0], [0.5, 0.0]])
    assert vq_argmin(latents, codebook).tolist() == [1, 2, 0, 0]  # the last is a tie


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 9),
    st.integers(1, 40),
    st.integers(1, 33),
    st.integers(0, 10**6),
    st.sampled_from([0.0, 1e-42, 1e-30, 1e-3, 1.0, 1e6, 1e18, 3e19, 1e38]),
    st.sampled_from([0.0, 1.0, 1e4]),
)
def test_equals_the_reference(n, v, d, seed, scale, offset):
    codebook = draw(v, d, seed=seed, scale=scale) + offset * scale
    latents = draw(n, d, seed=seed + 1, scale=scale) + offset * scale
    expected = reference.vq_argmin(latents, codebook)
    assert torch.equal(vq_argmin(latents, codebook), expected)


def test_ties_one_ulp_apart():
    codebook = draw(64, 16).repeat(4, 1)
    up = torch.nextafter(codebook, torch.full_like(codebook, torch.inf))
    shift = torch.rand(codebook.shape, generator=torch.Generator().manual_seed(3)) < 0.1
    codebook = torch.where(shift, up, codebook)
    latents = torch.cat([codebook, (codebook + codebook.roll(1, 0)) / 2])
    expected = reference.vq_argmin(latents, codebook)
    assert torch.equal(vq_argmin(latents, codebook), expected)
    assert len(expected.unique()) > 64  # the ulps decide


def test_duplicates_go_to_the_lowest_index():
    codebook = draw(10, 8)[torch.tensor([3, 1, 3, 2, 1])]
    assert vq_argmin(codebook, codebook).tolist() == [0, 1, 0, 3, 1]


def test_the_codes_follow_a_permuted_codebook():
    codebook, latents = draw(300, 24), draw(500, 24, seed=1)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    assert torch.equal(order[vq_argmin(latents, codebook[order])], vq_argmin(latents, codebook))


def test_the_codes_do_not_depend_on_the_batch():
    codebook, latents = draw(4096, 64), draw(1000, 64, seed=1)
    whole = vq_argmin(latents, codebook)
    parts = [vq_argmin(part, codebook) for part in latents.split([1, 2, 300, 697])]
    assert torch.equal(whole, torch.cat(parts))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_get_minus_one(value):
    latents = draw(4, 8)
    latents[2, 5] = value
    codes = vq_argmin(latents, draw(16, 8, seed=1))
    assert codes[2] == -1
    assert (codes[[0, 1, 3]] >= 0).all()


def test_no_latents():
    assert vq_argmin(torch.zeros(0, 4), draw(3, 4)).shape == (0,)


@pytest.mark.parametrize(
    ("latents", "codebook", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(4, 5), "do not fit"),
        (torch.zeros(2, 3).double(), torch.zeros(4, 3), "torch.float64"),
        (torch.zeros(2, 3), torch.zeros(0, 3), "empty"),
    ],
)
def test_wrong_arguments_are_explained(latents, codebook, message):
    with pytest.raises(ValueError, match=message):
        vq_argmin(latents, codebook)
