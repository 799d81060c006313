"""Slower codebooks: SNAC's formulas, written here anew, and VALL-E R's merged rates."""

import pytest
import torch
from support.parity import (
    assert_close_to_peak,
    cosine_margin,
    drawn_codebooks,
    euclidean_margin,
    near_ties,
    rows_of,
    speech_like,
)
from torch.nn import functional as F

from audiotok.kernels import reference
from audiotok.nn.quantizers import (
    FactorizedResidualQuantizer,
    MovingAverageLearner,
    ResidualVectorQuantizer,
    merged,
)
from audiotok.nn.quantizers.strided import pool

DIMENSION, SIZE = 64, 256


def snac_stage(stage, stride, latents):
    """hubertsiuzdak/snac, layers: pool, project, nearest normalised codeword, project, repeat."""
    if stride > 1:
        latents = F.avg_pool1d(latents, stride, stride)
    projected = stage.in_proj(latents)
    rows, codebook = F.normalize(rows_of(projected)), F.normalize(stage.codebook)
    distances = (
        rows.pow(2).sum(1, keepdim=True)
        - 2 * rows @ codebook.t()
        + codebook.pow(2).sum(1, keepdim=True).t()
    )
    codes = (-distances).max(1)[1].view(latents.shape[0], -1)
    result = stage.codebook[codes].transpose(1, 2)
    vectors = stage.out_proj(projected + (result - projected).detach())
    return projected, codes, vectors.repeat_interleave(stride, dim=-1)


def snac(quantizer, latents):
    """What every stage searched, the codes of each at its own rate, and the sum of the vectors."""
    total, residual, searched, codes = 0, latents, [], []
    for stage, stride in zip(quantizer.stages, quantizer.strides, strict=True):
        projected, result, vectors = snac_stage(stage, stride, residual)
        total, residual = total + vectors, residual - vectors
        searched.append(rows_of(projected))
        codes.append(result)
    return searched, codes, total


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    built = FactorizedResidualQuantizer(4, SIZE, DIMENSION, strides=(8, 4, 2, 1))
    residual = speech_like(4, DIMENSION, 2048, seed=5)
    with torch.no_grad():
        for stage, stride in zip(built.stages, built.strides, strict=True):
            rows = rows_of(stage.in_proj(pool(residual, stride)))
            scale = 0.5 + torch.rand(SIZE, 1)
            stage.codebook.copy_(rows[torch.randperm(len(rows))[:SIZE]] * scale)
            residual = residual - snac_stage(stage, stride, residual)[2]
    return built


def test_it_equals_snac(quantizer, record_property):
    latents = speech_like(2, DIMENSION, 2048)
    weights = speech_like(2, DIMENSION, 2048, seed=2)
    codes = quantizer.encode(latents)
    projections = []
    for stage in quantizer.stages:
        stage.in_proj.register_forward_hook(lambda m, i, output: projections.append(output))
    ours, theirs = (latents.clone().requires_grad_() for _ in range(2))
    result = quantizer(ours)
    searched = [rows_of(rows) for rows in projections]
    official_rows, found, total = snac(quantizer, theirs)
    assert torch.equal(result.codes, codes)
    margins, everywhere = [], []
    for k, stride in enumerate(quantizer.strides):
        margin = cosine_margin(searched[k], quantizer.codebooks[k], official_rows[k])
        margins.append(margin.view(2, -1).repeat_interleave(stride, 1).flatten())
        everywhere.append(found[k].repeat_interleave(stride, 1))
        assert torch.equal(codes[:, k, ::stride].repeat_interleave(stride, 1), codes[:, k])
    everywhere = torch.stack(everywhere, 1)
    record_property("near ties, in frames", near_ties(codes, everywhere, torch.stack(margins)))
    assert torch.equal(codes, everywhere)  # so that vectors and gradients can be compared
    assert_close_to_peak(result.quantized, total)
    assert_close_to_peak(quantizer.decode(codes), total)
    (gradient,) = torch.autograd.grad((result.quantized * weights).sum(), ours)
    (official,) = torch.autograd.grad((total * weights).sum(), theirs)
    assert_close_to_peak(gradient, official)


@pytest.fixture
def stack():
    built = ResidualVectorQuantizer(4, SIZE, DIMENSION)
    built.codebooks.copy_(drawn_codebooks(speech_like(2, DIMENSION, 1000, seed=5), 4, SIZE))
    return built


@pytest.mark.parametrize("strides", [(2, 1, 1, 1), (2, 2, 2, 2), (4, 1, 1, 1), (3, 2, 1, 1)])
@pytest.mark.parametrize("frames", [600, 601])
def test_merged_rates(stack, strides, frames, record_property):
    """VALL-E R: pool, repeat, search in fp32 as EnCodec does, subtract from the un-pooled."""
    quantizer, latents = merged(stack, strides), speech_like(2, DIMENSION, frames)
    residual, expected, margins = latents, [], []
    for codebook, stride in zip(stack.codebooks, strides, strict=True):
        groups = [
            group.mean(2, keepdim=True).expand_as(group) for group in residual.split(stride, 2)
        ]
        rows = rows_of(torch.cat(groups, 2))
        distances = -(rows.pow(2).sum(1, True) - 2 * rows @ codebook.T + codebook.pow(2).sum(1))
        expected.append(distances.max(1).indices.view(2, frames))
        margins.append(euclidean_margin(rows, codebook) - 1e-6)  # means may differ in rounding
        residual = residual - codebook[expected[-1]].mT
    codes = quantizer.encode(latents)
    record_property(
        "near ties, in frames", near_ties(codes, torch.stack(expected, 1), torch.stack(margins))
    )
    assert torch.equal(quantizer(latents).codes, codes)
    assert torch.equal(quantizer(latents).quantized, quantizer.decode(codes))
    assert torch.equal(quantizer.decode(codes), stack.decode(codes))
    assert stack.strides == (1, 1, 1, 1)


def test_merged_quantizers_share_their_codebooks(stack):
    other = merged(stack, (2, 1, 1, 1))
    stack.codebooks.zero_()
    assert not other.codebooks.any()


def test_a_window_without_finite_latents_has_no_code(stack):
    latents = speech_like(1, DIMENSION, 7)
    latents[0, 3, 2] = torch.nan
    quantizer = merged(stack, (2, 3, 1, 1))
    codes = quantizer.encode(latents)
    failed = [[2, 3], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]]
    assert [(row < 0).nonzero()[:, 0].tolist() for row in codes[0]] == failed
    assert torch.equal(quantizer(latents).codes, codes)


def test_slower_codebooks_learn_from_the_pooled_frames(stack):
    quantizer, latents = merged(stack, (4, 1, 1, 1)), speech_like(2, DIMENSION, 402)
    codes = quantizer.encode(latents)
    learner = MovingAverageLearner(quantizer, decay=0, epsilon=0, dead_ratio=0)
    learner.update(latents, codes)
    pooled, result = rows_of(pool(latents, 4)), codes[:, 0, ::4].flatten()
    for code in result.unique():
        members = pooled[result == code]
        torch.testing.assert_close(stack.codebooks[0, code], members.mean(0))


def test_pooling_by_hand():
    frames = torch.tensor([[[1.0, 3.0, 5.0, 7.0, 11.0]]])
    assert pool(frames, 2).tolist() == [[[2, 6, 11]]]
    assert pool(frames, 9).item() == pytest.approx(5.4)


@pytest.mark.parametrize("stride", [1, 2, 3, 7, 40])
def test_pooling_has_the_bits_of_the_kernels(stride):
    latents = speech_like(1, DIMENSION, 37)
    assert torch.equal(rows_of(pool(latents, stride)), reference.pool(rows_of(latents), stride))


def test_strides_must_fit(stack):
    for strides in ((2, 1), (2, 1, 0, 1)):
        with pytest.raises(ValueError, match="do not fit 4 codebooks"):
            merged(stack, strides)
