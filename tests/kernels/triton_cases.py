"""Triton kernels against the reference, in Triton's interpreter: run by test_triton_interpreter.py.

Not collected by itself: TRITON_INTERPRET=1 has to be set before Triton is imported.
"""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from support.hard import draw, one_ulp_up, problems

from audiotok.kernels import (
    reference,
    triton_codebooks,
    triton_gpu,
    triton_pack,
    triton_stack,
    triton_vq,
)

few = settings(
    deadline=None, max_examples=12, derandomize=True, suppress_health_check=list(HealthCheck)
)


def same(a, b):
    """Equal to the bit, signs of zeros and places of NaN included."""
    if a.dtype == torch.float32:
        a, b = torch.where(a.isnan(), torch.nan, a), torch.where(b.isnan(), torch.nan, b)
        a, b = a.view(torch.int32), b.view(torch.int32)
    return a.shape == b.shape and torch.equal(a, b)


def clustered(n, v, d, spread=0.05):
    """Latents near codewords: the prefilter proves nearly all of them."""
    codebook = draw(v, d, seed=1)
    chosen = torch.randint(0, v, (n,), generator=torch.Generator().manual_seed(2))
    return codebook[chosen] + draw(n, d, seed=3, scale=spread), codebook


@few
@given(problems(rows=5, sizes=40, dimensions=24))
def test_argmin_equals_the_reference(problem):
    for metric in ("euclidean", "cosine"):
        result = triton_gpu.vq_argmin(*problem, metric)
        assert same(result, reference.vq_argmin(*problem, metric))


@few
@given(problems(rows=4, sizes=20, dimensions=20))
def test_stack_equals_the_reference(problem):
    latents, codebook = problem
    codebooks = torch.stack([codebook, codebook.flip(0) / 3, codebook / 9])
    codes = triton_gpu.rvq_encode(latents, codebooks)
    assert same(codes, reference.rvq_encode(latents, codebooks))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize(
    ("n", "v", "d"),
    [
        (0, 5, 8),
        (1, 1, 1),
        (130, 37, 8),
        (7, 200, 16),
        (70, 129, 17),
        (20, 300, 100),
        (9, 260, 300),
    ],
)
def test_argmin_in_every_width(n, v, d, metric):
    latents, codebook = clustered(n, v, d)
    result = triton_gpu.vq_argmin(latents, codebook, metric)
    assert same(result, reference.vq_argmin(latents, codebook, metric))


@pytest.mark.parametrize("d", [8, 40, 260])
def test_argmin_in_groups(d):
    pairs = [clustered(12, 30, d), clustered(12, 30, d, spread=0.5)]
    latents, codebook = (torch.stack(parts) for parts in zip(*pairs, strict=True))
    latents = latents.flip(0)  # each row far from its own group's codewords too
    latents[1, 3, 2] = torch.nan
    result = triton_gpu.vq_argmin(latents, codebook)
    assert same(result, reference.vq_argmin(latents, codebook))
    assert result[1, 3] == -1


@pytest.mark.parametrize("d", [8, 32, 260])
def test_ties_one_ulp_apart(d):
    generator = torch.Generator().manual_seed(d)
    codebook = one_ulp_up(draw(5, d).repeat(4, 1), 1 / d, generator)
    count = 6 if d < 100 else 1  # the interpreter is slow at fp64 decisions
    latents = torch.cat([codebook[6 : 6 + count], (codebook[:count] + codebook[1 : count + 1]) / 2])
    expected = reference.vq_argmin(latents, codebook)
    assert same(triton_gpu.vq_argmin(latents, codebook), expected)
    assert expected.max() > 4  # the ulps decide


def test_ties_of_many_go_to_the_lowest_index():
    codebook = draw(1, 8).repeat(600, 1)  # more than one pass of the fp64 decision
    assert triton_gpu.vq_argmin(codebook[:2], codebook).tolist() == [0, 0]


@pytest.mark.parametrize("d", [8, 20])
def test_ties_of_two_whatever_the_prefilter_prefers(d):
    centres = (draw(12, d) * 1024).round() / 1024  # exact in fp32, not in bf16
    offsets = (draw(12, d, seed=1) * 64).round() / 1024
    codebook = torch.stack([centres + offsets, centres - offsets], dim=1).flatten(0, 1)
    result = triton_gpu.vq_argmin(centres, codebook)
    assert result.tolist() == list(range(0, 24, 2))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("d", [64, 256])
def test_the_bound_has_the_bf16_error_of_the_latents(d, metric):
    """Codewords are exact in bf16, and the copies of the latents prefer the wrong one by far."""
    ulp = 2.0**-7  # of bf16 from 1 to 2
    signs = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat(d // 4)
    latents = 1 + ulp * torch.tensor([0.49, 0.49, 0.51, 0.0]).repeat(d // 4)[None]
    assert latents[0] @ signs > 0.2 * ulp * d / 2 and latents.bfloat16().float()[0] @ signs < 0
    codebook = torch.stack([-signs, signs])
    assert triton_gpu.vq_argmin(latents, codebook, metric).tolist() == [1]
    if metric == "euclidean":
        codes = triton_gpu.rvq_encode(latents, torch.stack([codebook, codebook]))
        assert same(codes, reference.rvq_encode(latents, torch.stack([codebook, codebook])))
        assert codes.flatten()[0] == 1


def test_codewords_that_no_one_may_choose():
    latents, codebook = clustered(6, 20, 32)
    codebook[:3] = torch.tensor([torch.nan, torch.inf, -torch.inf])[:, None]
    codebook[3:6] = codebook[9]
    assert same(triton_gpu.vq_argmin(latents, codebook), reference.vq_argmin(latents, codebook))
    assert (triton_gpu.vq_argmin(latents, codebook[:3]) == -1).all()


@pytest.mark.parametrize("d", [8, 40])
def test_only_later_duplicates_are_left_out_of_the_prefilter(d):
    codebook = draw(10, d)[torch.tensor([3, 1, 3, 2, 1, 0])]
    codebook[5] = 0.0
    codebook = torch.cat([codebook, -codebook[5:]])  # minus zero equals zero
    packed = triton_codebooks.pack(codebook[None])
    assert packed.half_norms[0, :7].isinf().tolist() == [0, 0, 1, 0, 1, 0, 1]
    result = triton_gpu.vq_argmin(codebook, codebook, packed=packed)
    assert result.tolist() == [0, 1, 0, 3, 1, 5, 5]


@pytest.mark.parametrize("d", [8, 300])
def test_the_prefilter_alone_proves_what_is_clear(d, monkeypatch):
    kept = []
    make = triton_vq._unproved
    monkeypatch.setattr(triton_vq, "_unproved", lambda *a: kept.append(make(*a)) or kept[-1])
    latents, codebook = clustered(60, 50, d, spread=0.01)
    latents[7] = (codebook[4] + codebook[9]) / 2
    assert same(triton_gpu.vq_argmin(latents, codebook), reference.vq_argmin(latents, codebook))
    assert int(kept[0].count[0]) == 1
    assert int(kept[0].rows[0, 0]) == 7


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 1.0, 1e4, 1e15])
def test_the_error_bound_bounds_the_error(scale):
    latents, codebook = draw(30, 300, scale=scale), draw(64, 300, seed=1, scale=scale) + scale
    packed = triton_codebooks.pack(codebook[None])
    low = torch.empty(30, 512, dtype=torch.bfloat16)
    bounds = torch.empty(30)
    triton_vq._lower[(2, 1)](
        latents, packed.centres, packed.norms, low, bounds, 30, 300, DP=512, BN=16, BV=128, BD=64
    )
    scores = packed.half_norms[0, :64] - low.float() @ packed.words[0, :64].float().T
    x, c = ((t - packed.centres[0]).double() for t in (latents, codebook))
    errors = (scores - (c.square().sum(1) / 2 - x @ c.T)).abs().amax(1)
    assert (errors <= bounds).all()
    if 1e-15 < scale**2 < 1e15:
        assert (bounds < 0.05 * x.norm(dim=1) * c.norm(dim=1).max()).all()  # and is of use


def test_a_stack_stops_after_the_codebooks_asked_for():
    latents, _ = clustered(70, 40, 33)
    codebooks = torch.stack([draw(40, 33, seed=k, scale=0.6**k) for k in range(1, 4)])
    latents[5, 1] = torch.inf
    codes = triton_gpu.rvq_encode(latents, codebooks)
    assert same(codes, reference.rvq_encode(latents, codebooks))
    assert (codes[5] == -1).all()
    assert same(triton_gpu.rvq_encode(latents[:9], codebooks, 2), codes[:9, :2])


def test_a_narrow_stack_goes_through_bf16_too():
    latents, codebook = clustered(20, 30, 8)
    codebooks = torch.stack([codebook, codebook / 20])
    codes = triton_gpu.rvq_encode(latents, codebooks)
    assert same(codes, reference.rvq_encode(latents, codebooks))


def test_more_rows_than_programs(monkeypatch):
    monkeypatch.setattr(triton_stack, "PROGRAMS", 2)
    latents, codebook = clustered(85, 20, 20)
    codebooks = torch.stack([codebook, codebook / 20])
    codes = triton_gpu.rvq_encode(latents, codebooks)
    assert same(codes, reference.rvq_encode(latents, codebooks))


@pytest.mark.parametrize("d", [20, 257])
def test_merged_rates(d):
    latents, codebook = clustered(11, 24, d)
    codebooks = torch.stack([codebook, codebook / 8, codebook / 30])
    latents[10, 0] = torch.nan
    codes = triton_gpu.rvq_encode(latents, codebooks, None, [4, 2, 1])
    assert same(codes, reference.rvq_encode(latents, codebooks, None, [4, 2, 1]))
    assert codes[0, 0] == codes[3, 0]


@pytest.mark.parametrize(("n", "k", "d"), [(0, 2, 3), (1, 1, 1), (45, 3, 130)])
def test_decode_is_the_sum_in_order(n, k, d):
    codebooks = draw(k + 1, 9, d)
    codebooks[:, 0] = -0.0
    codes = torch.randint(0, 9, (n, k), generator=torch.Generator().manual_seed(0))
    codes[: n // 3] = 0
    codes[n // 2 : n // 2 + 2, -1] = -1
    assert same(triton_gpu.rvq_decode(codes, codebooks), reference.rvq_decode(codes, codebooks))
    codes[:, 0] = 9  # beyond the end: NaN, and nothing is read there
    assert triton_gpu.rvq_decode(codes, codebooks).isnan().all()


@pytest.mark.parametrize(("n", "d"), [(0, 3), (1, 1), (200, 130), (60, 0)])
def test_statistics_to_the_bit(n, d):
    latents = draw(n, d) * torch.logspace(-6, 6, n)[:, None]
    codes = torch.randint(-1, 7, (n,), generator=torch.Generator().manual_seed(1))
    codes[codes == 4] = 5
    result = triton_gpu.code_statistics(latents, codes, 7)
    expected = reference.code_statistics(latents, codes, 7)
    assert same(result[0], expected[0])
    assert same(result[1], expected[1])


@pytest.mark.parametrize("n", [1, 45])
def test_straight_through_and_by_products(n):
    latents = draw(n, 20, seed=1).requires_grad_()
    codebook, weights = draw(17, 20, seed=2), draw(n, 20, seed=3)
    result = triton_gpu.vq_straight_through(latents, codebook, statistics=True)
    ((result.quantized * weights).sum() + 3 * result.commitment).backward()
    codes = reference.vq_argmin(latents.detach(), codebook)
    assert same(result.codes, codes)
    assert same(result.quantized.detach(), codebook[codes])
    plain = latents.detach().requires_grad_()
    error = (plain - codebook[codes]).square().mean()
    (((codebook[codes] + plain - plain.detach()) * weights).sum() + 3 * error).backward()
    torch.testing.assert_close(result.commitment, error)
    torch.testing.assert_close(latents.grad, plain.grad)
    share = torch.bincount(codes, minlength=17).double() / n
    assert result.usage == (share > 0).double().mean()
    torch.testing.assert_close(result.perplexity, torch.special.entr(share).sum().exp())
    energy = latents.detach().double().square().sum()
    torch.testing.assert_close(result.quantization_error, error.double() * n * 20 / energy)


def test_one_gradient_without_the_other():
    codebook = draw(5, 4)
    for part in ("quantized", "commitment"):
        latents = draw(6, 4, seed=1).requires_grad_()
        getattr(triton_gpu.vq_straight_through(latents, codebook), part).sum().backward()
        moved = (latents - codebook[reference.vq_argmin(latents, codebook)]).detach() / 12
        expected = torch.ones(6, 4) if part == "quantized" else moved
        torch.testing.assert_close(latents.grad, expected)


def test_a_streaming_step():
    codebooks = torch.stack([draw(35, 20, seed=k, scale=0.6**k) for k in range(3)])
    codebooks[1, 30:] = codebooks[1, 2]  # duplicates
    codebooks[2, 3] = torch.nan
    step = triton_gpu.prepare_step(codebooks, 2)
    first = draw(2, 20, seed=9)
    second = torch.stack([codebooks[0, 4] + codebooks[1, 31], torch.full((20,), torch.inf)])
    for latents in (first, second, first):
        assert same(step(latents), reference.rvq_encode(latents, codebooks))


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (2, 3, 7, 16), (40,)])
def test_fsq(levels):
    latents = draw(200, len(levels), scale=2.0)
    latents[0], latents[1], latents[2] = 0.0, 1e38, -1e38
    latents[3, 0], latents[4, -1] = torch.nan, -torch.inf
    codes = triton_gpu.fsq_encode(latents, levels)
    assert same(codes, reference.fsq_encode(latents, levels))
    assert same(triton_gpu.fsq_decode(codes, levels), reference.fsq_decode(codes, levels))
    assert triton_gpu.fsq_encode(latents[:0], levels).shape == (0,)


@pytest.mark.parametrize("size", [2, 3, 8, 33])
def test_fsq_on_both_sides_of_every_step(size):
    steps = torch.tensor([triton_pack._step(size, level) for level in range(1, size)])
    below = torch.nextafter(steps, torch.tensor(-torch.inf))
    latents = torch.cat([steps, below])[:, None]
    expected = torch.cat([torch.arange(1, size), torch.arange(0, size - 1)])
    assert same(reference.fsq_encode(latents, (size,)), expected)
    assert same(triton_gpu.fsq_encode(latents, (size,)), expected)


@pytest.mark.parametrize("d", [1, 13, 62])
def test_lfq_and_bsq(d):
    latents = draw(150, d)
    latents[0], latents[1, 0], latents[2, -1] = -0.0, torch.nan, torch.inf
    codes = triton_gpu.lfq_encode(latents)
    assert same(codes, reference.lfq_encode(latents))
    for scale in (1.0, d**-0.5):
        result = triton_gpu.lfq_decode(codes, d, scale)
        assert same(result, reference.lfq_decode(codes, d, scale))
