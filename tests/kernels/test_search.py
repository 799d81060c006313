"""Codebook search gives the reference's codes on every path, near ties and odd values included."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hard import draw, one_ulp_up, problems

from audiotok.kernels import (
    reference,
    rvq_decode,
    rvq_encode,
    rvq_encode_from,
    torch_cpu,
    vq_argmin,
)

per_path = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
METRICS = ["euclidean", "cosine"]


def test_a_case_by_hand(path):
    codebook = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    latents = torch.tensor([[0.9, 0.1], [0.1, 1.9], [-5.0, 0.0], [0.5, 0.0]])
    assert vq_argmin(latents, codebook).tolist() == [1, 2, 0, 0]  # the last is a tie
    assert vq_argmin(latents, codebook, "cosine").tolist() == [1, 2, 0, 1]


@per_path
@given(problems(), st.sampled_from(METRICS))
def test_equals_the_reference(path, problem, metric):
    latents, codebook = problem
    expected = reference.vq_argmin(latents, codebook, metric)
    assert torch.equal(vq_argmin(latents, codebook, metric), expected)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("width", [1, 7, 8, 31, 128, 513])
def test_equals_the_reference_on_whole_tiles(path, width, metric):
    latents, codebook = draw(203 if width < 200 else 67, width), draw(131, width, seed=1)
    codebook[100:] = codebook[:31]
    expected = reference.vq_argmin(latents, codebook, metric)
    assert torch.equal(vq_argmin(latents, codebook, metric), expected)


@pytest.mark.parametrize("metric", METRICS)
def test_ties_one_ulp_apart(path, metric):
    codebook = one_ulp_up(draw(64, 16).repeat(4, 1), 0.1, torch.Generator().manual_seed(3))
    latents = torch.cat([codebook, (codebook + codebook.roll(1, 0)) / 2])
    expected = reference.vq_argmin(latents, codebook, metric)
    assert torch.equal(vq_argmin(latents, codebook, metric), expected)
    assert len(expected.unique()) > 64  # the ulps decide


def test_ties_that_only_the_order_of_summation_decides(path):
    """Codewords that are permutations of each other are equally far from zero, up to rounding."""
    word = draw(1, 64)[0]
    generator = torch.Generator().manual_seed(1)
    codebook = torch.stack([word[torch.randperm(64, generator=generator)] for _ in range(200)])
    latents = torch.cat([torch.zeros(20, 64), torch.full((20, 64), 1e-3)])
    expected = reference.vq_argmin(latents, codebook)
    assert torch.equal(vq_argmin(latents, codebook), expected)


def test_duplicates_go_to_the_lowest_index(path):
    codebook = draw(10, 8)[torch.tensor([3, 1, 3, 2, 1])]
    assert vq_argmin(codebook, codebook).tolist() == [0, 1, 0, 3, 1]
    assert (vq_argmin(draw(100, 8), torch.ones(300, 8)) == 0).all()


def test_the_codes_follow_a_permuted_codebook(path):
    codebook, latents = draw(300, 24), draw(500, 24, seed=1)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(2))
    assert torch.equal(order[vq_argmin(latents, codebook[order])], vq_argmin(latents, codebook))


def test_the_codes_do_not_depend_on_the_batch(path):
    codebook, latents = draw(1024, 64), draw(1000, 64, seed=1)
    whole = vq_argmin(latents, codebook)
    parts = [vq_argmin(part, codebook) for part in latents.split([1, 2, 300, 697])]
    assert torch.equal(whole, torch.cat(parts))


def test_the_codes_do_not_depend_on_the_threads(path):
    codebooks, latents = draw(3, 256, 64), draw(1000, 64, seed=1)
    before = torch.get_num_threads()
    try:
        codes = []
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            codes.append(rvq_encode(latents, codebooks, strides=[3, 2, 1]))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(codes[0], codes[1])
    assert torch.equal(codes[0], codes[2])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_get_minus_one(path, value, metric):
    latents = draw(40, 8)
    latents[2, 5] = value
    codes = vq_argmin(latents, draw(16, 8, seed=1), metric)
    assert codes[2] == -1
    assert (codes >= 0).sum() == 39


@pytest.mark.parametrize("metric", METRICS)
def test_codewords_that_are_not_finite_are_never_chosen(path, metric):
    latents, codebook = draw(50, 8), draw(20, 8, seed=1)
    codebook[::2, 3] = torch.tensor([np.nan, np.inf] * 5)
    assert torch.equal(
        vq_argmin(latents, codebook, metric), vq_argmin(latents, codebook[1::2], metric) * 2 + 1
    )
    assert (vq_argmin(latents, codebook[::2], metric) == -1).all()


@pytest.mark.parametrize("metric", METRICS)
def test_norms_whose_squares_underflow(path, metric):
    latents, codebook = 1 + draw(30, 3, scale=1e-4), 1 + draw(20, 3, seed=1, scale=1e-4)
    latents, codebook = latents * 1e-26, codebook * 1e-26
    expected = reference.vq_argmin(latents, codebook, metric)
    assert torch.equal(vq_argmin(latents, codebook, metric), expected)


def test_one_usable_codeword_is_chosen_even_where_fp32_overflows(path):
    codebook = torch.tensor([[np.nan], [-3.6e19], [np.inf]])
    assert vq_argmin(torch.tensor([[2.1e19], [3e38], [0.0], [1e-45]]), codebook).tolist() == [1] * 4


@pytest.mark.parametrize("setting", ["flush", "autocast", "precision"])
def test_what_the_program_has_set_does_not_matter(path, setting):
    latents, codebook = draw(300, 64), draw(512, 64, seed=1)
    if setting == "flush":
        latents, codebook = latents[:40, :8] * 1e-41, codebook[:40, :8] * 1e-41
    expected = reference.vq_argmin(latents, codebook)
    before = torch.get_float32_matmul_precision()
    try:
        if setting == "flush":
            torch.set_flush_denormal(True)
        if setting == "precision":
            torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", enabled=setting == "autocast"):
            codes = vq_argmin(latents, codebook)
    finally:
        torch.set_flush_denormal(False)
        torch.set_float32_matmul_precision(before)
    assert torch.equal(codes, expected)


def test_tensors_that_are_not_contiguous(path):
    latents, codebook = draw(24, 50).T, draw(24, 60, seed=1).T
    expected = reference.vq_argmin(latents.clone(), codebook.clone())
    assert torch.equal(vq_argmin(latents, codebook), expected)


@per_path
@given(problems(), st.integers(1, 3), st.data())
def test_a_stack_equals_the_reference(path, problem, stages, data):
    latents, codebook = problem
    size = len(codebook) // stages
    if not size:
        return
    codebooks = codebook[: size * stages].view(stages, size, -1)
    strides = data.draw(
        st.one_of(st.none(), st.lists(st.integers(1, 5), min_size=stages, max_size=stages))
    )
    expected = reference.rvq_encode(latents, codebooks, strides=strides)
    codes = rvq_encode(latents, codebooks, strides=strides)
    assert torch.equal(codes, expected)
    decoded = rvq_decode(codes, codebooks)
    assert torch.allclose(
        decoded, reference.rvq_decode(codes, codebooks), rtol=0, atol=0, equal_nan=True
    )


@pytest.mark.parametrize("strides", [None, [1] * 8, [8, 4, 4, 2, 2, 2, 1, 1], [3] + [1] * 7])
def test_a_long_stack_equals_the_reference(path, strides):
    codebooks, latents = draw(8, 64, 32), draw(150, 32, seed=1)
    latents[70] = torch.nan
    codes = rvq_encode(latents, codebooks, strides=strides)
    assert torch.equal(codes, reference.rvq_encode(latents, codebooks, strides=strides))
    assert (codes[70] == -1).all()
    assert (codes >= 0).sum() > 1000


def test_strides_that_no_block_holds(path):
    codebooks, latents = draw(2, 5, 4), draw(4000, 4, seed=1)
    codes = rvq_encode(latents, codebooks, strides=[2999, 1000])
    assert torch.equal(codes, reference.rvq_encode(latents, codebooks, strides=[2999, 1000]))


def test_fewer_stages_are_the_first_ones(path):
    codebooks, latents = draw(6, 32, 8), draw(100, 8, seed=1)
    assert torch.equal(rvq_encode(latents, codebooks, 2), rvq_encode(latents, codebooks)[:, :2])
    assert rvq_encode(latents, codebooks, 0).shape == (100, 0)


@pytest.mark.parametrize("lattice", [False, True])
def test_each_row_is_searched_from_its_own_stage_on(path, lattice):
    codebooks, latents = draw(6, 16, 8), draw(90, 8, seed=1)
    if lattice:  # exact ties
        codebooks, latents = codebooks.round(), latents.round()
    latents[7] = torch.nan
    first = torch.arange(90) % 7  # 6: nothing to search
    codes = rvq_encode_from(latents, codebooks, first)
    assert torch.equal(codes, reference.rvq_encode_from(latents, codebooks, first))
    assert torch.equal(codes[first == 0], rvq_encode(latents[first == 0], codebooks))
    assert torch.equal(codes == -1, (torch.arange(6) < first[:, None]) | codes[:, 5:].eq(-1))
    assert (codes[[6, 7]] == -1).all() and (codes[first < 6].amax(1) >= 0).sum() == 77
    assert rvq_encode_from(latents[:0], codebooks, first[:0]).shape == (0, 6)


def test_groups_are_searched_apart(path):
    latents, codebooks = draw(3, 40, 8), draw(3, 20, 8, seed=1)
    codes = vq_argmin(latents, codebooks)
    assert torch.equal(codes, reference.vq_argmin(latents, codebooks))
    assert torch.equal(codes[1], vq_argmin(latents[1], codebooks[1]))


def test_no_latents(path):
    assert vq_argmin(torch.zeros(0, 4), draw(3, 4)).shape == (0,)
    assert vq_argmin(torch.zeros(2, 0, 4), draw(2, 3, 4)).shape == (2, 0)
    assert rvq_encode(torch.zeros(0, 4), draw(2, 3, 4), strides=[2, 1]).shape == (0, 2)
    assert rvq_decode(torch.zeros(0, 2, dtype=torch.int64), draw(2, 3, 4)).shape == (0, 4)


def test_decode_is_bitwise_the_sum_in_order(path):
    codebooks = draw(5, 32, 24)
    codes = torch.randint(0, 32, (200, 5), generator=torch.Generator().manual_seed(0))
    total = codebooks[0][codes[:, 0]].clone()
    for k in range(1, 5):
        total += codebooks[k][codes[:, k]]
    assert torch.equal(rvq_decode(codes, codebooks), total)
    codes[3, 2] = -1
    decoded = rvq_decode(codes, codebooks)
    assert decoded[3].isnan().all()
    assert not decoded[4].isnan().any()


@pytest.mark.parametrize("code", [-2, 32, 2**40])
def test_codes_out_of_range_are_refused(path, code):
    with pytest.raises(ValueError, match="out of range"):
        rvq_decode(torch.tensor([[0, code]]), draw(2, 32, 4))


@pytest.mark.parametrize(
    ("latents", "codebook", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(4, 5), "do not fit"),
        (torch.zeros(2, 3), torch.zeros(2, 4, 3), "do not fit"),
        (torch.zeros(2, 3).double(), torch.zeros(4, 3), "torch.float64"),
        (torch.zeros(2, 3), torch.zeros(0, 3), "empty"),
        (torch.zeros(2, 3), torch.zeros(4, 3, device="meta"), "one device"),
    ],
)
def test_wrong_arguments_are_explained(latents, codebook, message):
    with pytest.raises(ValueError, match=message):
        vq_argmin(latents, codebook)


def test_wrong_settings_are_explained():
    latents, codebooks = torch.zeros(2, 3), torch.zeros(2, 4, 3)
    with pytest.raises(ValueError, match="'l2': expected 'euclidean' or 'cosine'"):
        vq_argmin(latents, codebooks[0], "l2")
    with pytest.raises(ValueError, match="num_codebooks is 3: expected 0 to 2"):
        rvq_encode(latents, codebooks, 3)
    with pytest.raises(ValueError, match=r"strides are \[2\]: expected 2 integers"):
        rvq_encode(latents, codebooks, strides=[2])
    first = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match="first is torch.int32 of shape"):
        rvq_encode_from(latents, codebooks, first.int())
    with pytest.raises(ValueError, match="first is 0 to 3: expected 0 to 2"):
        rvq_encode_from(latents, codebooks, first + torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="do not fit"):
        rvq_encode_from(latents, codebooks[0], first)


def test_one_long_codeword_does_not_make_all_short_ones_candidates(monkeypatch):
    """Most of the latents are short, as the residuals of silence are."""
    latents = torch.cat([draw(60, 32, scale=1e-3), draw(60, 32, seed=1)])
    codebook = torch.cat([draw(40, 32, seed=2, scale=1e-3), draw(4, 32, seed=3, scale=30.0)])
    codebook[-2:] = -codebook[-4:-2]  # the mean is short
    pairs, cost = [], torch_cpu._Search._cost
    monkeypatch.setattr(
        torch_cpu._Search, "_cost", lambda self, x, c: pairs.append(len(x)) or cost(self, x, c)
    )
    codes = torch_cpu.vq_argmin(latents, codebook)
    assert torch.equal(codes, reference.vq_argmin(latents, codebook))
    assert sum(pairs) < 10 * len(latents)
