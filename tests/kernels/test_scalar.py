"""Quantizers without a codebook give the reference's codes, and those of the usual packages."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hard import draw

from audiotok.kernels import fsq_decode, fsq_encode, lfq_decode, lfq_encode, reference

per_path = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@per_path
@given(st.lists(st.integers(2, 9), min_size=1, max_size=6), st.integers(0, 30), st.integers(0, 999))
def test_fsq_equals_the_reference(path, levels, n, seed):
    latents = draw(n, len(levels), seed=seed, scale=3.0)
    if n > 2:
        latents[1, 0], latents[2, -1] = torch.nan, torch.inf
    codes = fsq_encode(latents, levels)
    assert torch.equal(codes, reference.fsq_encode(latents, levels))
    torch.testing.assert_close(
        fsq_decode(codes, levels),
        reference.fsq_decode(codes, levels),
        rtol=0,
        atol=0,
        equal_nan=True,
    )


@per_path
@given(st.integers(1, 62), st.integers(0, 30), st.integers(0, 999))
def test_lfq_equals_the_reference(path, dimension, n, seed):
    latents = draw(n, dimension, seed=seed).round(decimals=0)
    if n > 2:
        latents[1, 0], latents[2, -1] = torch.nan, -torch.inf
    codes = lfq_encode(latents)
    assert torch.equal(codes, reference.lfq_encode(latents))
    torch.testing.assert_close(
        lfq_decode(codes, dimension, 0.5),
        reference.lfq_decode(codes, dimension, 0.5),
        rtol=0,
        atol=0,
        equal_nan=True,
    )


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (8, 8, 8, 6, 5), (3,), (4, 4)])
def test_every_fsq_code_comes_back(levels):
    codes = torch.arange(torch.tensor(levels).prod())
    vectors = fsq_decode(codes, levels)
    assert vectors.abs().max() <= 1
    # the inverse of the bounding, away from its ends
    half = (torch.tensor(levels) - 1) * 1.001 / 2
    offset = torch.where(torch.tensor(levels) % 2 == 0, 0.5, 0.0)
    bounded = (vectors * (torch.tensor(levels) // 2) + offset) / half
    latents = torch.atanh(bounded.clamp(-0.999, 0.999)) - torch.atanh(offset / half)
    assert torch.equal(fsq_encode(latents, levels), codes)


def test_codes_are_those_of_vector_quantize_pytorch():
    package = pytest.importorskip("vector_quantize_pytorch")
    latents = draw(500, 4, scale=2.0)
    vectors, codes = package.FSQ([8, 6, 5, 5])(latents[None])
    assert torch.equal(fsq_encode(latents, [8, 6, 5, 5]), codes[0].long())
    torch.testing.assert_close(fsq_decode(codes[0].long(), [8, 6, 5, 5]), vectors[0])
    vectors, codes, _ = package.LFQ(dim=4, codebook_size=16).eval()(latents[None])
    assert torch.equal(lfq_encode(latents), codes[0])
    assert torch.equal(lfq_decode(codes[0], 4), vectors[0])


def test_wrong_arguments_are_explained():
    with pytest.raises(ValueError, match=r"expected \(N, 2\) torch.float32"):
        fsq_encode(draw(3, 4), [5, 5])
    with pytest.raises(ValueError, match=r"levels are \(1, 5\): expected each >= 2"):
        fsq_encode(draw(3, 2), [1, 5])
    with pytest.raises(ValueError, match=r"expected \(N, 62\)"):
        lfq_encode(draw(3, 63))
