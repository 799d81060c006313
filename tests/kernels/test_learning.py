"""Code statistics, moving averages and the straight-through gradient."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hard import draw

from audiotok.kernels import (
    code_statistics,
    ema_update,
    reference,
    vq_argmin,
    vq_straight_through,
)


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 9), st.integers(0, 10**6))
def test_statistics_equal_the_reference(path, n, v, d, seed):
    latents = draw(n, d, seed=seed) * 10 ** draw(n, 1, seed=seed + 1)
    codes = torch.randint(-1, v, (n,), generator=torch.Generator().manual_seed(seed))
    counts, sums = code_statistics(latents, codes, v)
    expected = reference.code_statistics(latents, codes, v)
    assert torch.equal(counts, expected[0])
    assert torch.equal(sums, expected[1])


def test_statistics_repeat_for_any_number_of_threads(path):
    latents = draw(20000, 32)
    codes = torch.randint(0, 7, (20000,), generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            results.append(code_statistics(latents, codes, 7)[1])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_statistics_refuse_codes_out_of_range(path):
    with pytest.raises(ValueError, match="out of range"):
        code_statistics(draw(2, 3), torch.tensor([0, 5]), 5)


@pytest.mark.parametrize("threshold", [0.0, 0.9, 5.0])
def test_an_update_equals_the_reference(path, threshold):
    codebook, latents = draw(16, 5), draw(40, 5, seed=1)
    codebook[3] = 1e3
    latents[7] = torch.nan
    counts = torch.rand(16, generator=torch.Generator().manual_seed(2)) * 2
    counts[4] = 0
    codes = vq_argmin(latents, codebook)
    results = []
    for update in (ema_update, reference.ema_update):
        state = [codebook.clone(), counts.clone(), codebook * counts[:, None]]
        generator = torch.Generator().manual_seed(3)
        update(*state, latents, codes, decay=0.9, dead_threshold=threshold, generator=generator)
        results.append(state)
    for got, expected in zip(*results, strict=True):
        assert torch.equal(got, expected)


def test_an_update_by_hand(path):
    codebook = torch.tensor([[0.0], [10.0], [99.0]])
    counts, sums = torch.tensor([2.0, 2.0, 0.0]), torch.tensor([[0.0], [20.0], [0.0]])
    latents = torch.tensor([[1.0], [3.0], [9.0]])
    ema_update(codebook, counts, sums, latents, torch.tensor([0, 0, 1]), decay=0.5, epsilon=0)
    assert counts.tolist() == [2.0, 1.5, 0.0]
    assert sums.tolist() == [[2.0], [14.5], [0.0]]
    torch.testing.assert_close(codebook, torch.tensor([[1.0], [14.5 / 1.5], [99.0]]))


def test_a_revived_code_lasts(path):
    """In peers' code it is back among the dead, or at its old place, after the next update."""
    codebook, latents = draw(16, 3), draw(200, 3, seed=1)
    codebook[5] = 1e3
    counts, sums = torch.full((16,), 10.0), codebook * 10
    counts[5], sums[5] = 0, 0
    for step in range(3):
        codes = vq_argmin(latents, codebook)
        generator = torch.Generator().manual_seed(step)
        about = {"decay": 0.9, "epsilon": 1e-5, "dead_threshold": 1.0, "generator": generator}
        ema_update(codebook, counts, sums, latents, codes, **about)
        assert codebook[5].abs().max() < 10
        assert counts[5] >= 1
    assert (vq_argmin(latents, codebook) == 5).any()


def test_an_update_of_the_wrong_shape_is_explained():
    with pytest.raises(ValueError, match=r"counts \(4,\).*expected \(V,\) and \(V, D\)"):
        ema_update(
            draw(3, 2), torch.ones(4), draw(3, 2), draw(5, 2), torch.zeros(5).long(), decay=0.9
        )


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_straight_through_gradient_is_that_of_the_formula(path, metric):
    codebook, weights = draw(20, 6), draw(30, 6, seed=2)
    gradients = []
    for plain in (False, True):
        latents = draw(30, 6, seed=1).requires_grad_()
        if plain:
            words = codebook[reference.vq_argmin(latents, codebook, metric)]
            quantized = latents + (words - latents).detach()
            commitment = (latents - words).square().mean()
        else:
            quantized, codes, commitment = vq_straight_through(latents, codebook, metric)[:3]
            assert torch.equal(quantized, codebook[codes])
        ((quantized * weights).sum() + 3 * commitment).backward()
        gradients.append((latents.grad, commitment.detach()))
    torch.testing.assert_close(*gradients)


def test_statistics_of_a_batch(path):
    codebook = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    latents = torch.tensor([[0.1], [0.9], [1.1], [0.0]])
    result = vq_straight_through(latents, codebook, statistics=True)
    assert result.codes.tolist() == [0, 1, 1, 0]
    assert result.usage == 0.5
    assert result.perplexity.item() == pytest.approx(2)
    error = 0.03 / latents.double().square().sum().item()
    assert result.quantization_error.item() == pytest.approx(error, rel=1e-5)
    assert result.commitment.item() == pytest.approx(0.03 / 4, rel=1e-5)
