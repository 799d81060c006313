"""Grouped quantizers against vector-quantize-pytorch, and groups of any other kind."""

import pytest
import torch
from support.parity import (
    assert_close_to_peak,
    drawn_codebooks,
    euclidean_margin,
    near_ties,
    speech_like,
)

from audiotok.nn.quantizers import (
    FiniteScalarQuantizer,
    GroupedQuantizer,
    GroupedVectorQuantizer,
    MovingAverageLearner,
    ResidualVectorQuantizer,
    VectorQuantizer,
)

DIMENSION, SIZE, GROUPS = 48, 256, 3


def codebooks(num_codebooks=1):
    """(G, K, V, D / G)."""
    groups = speech_like(2, DIMENSION, 1000, seed=5).chunk(GROUPS, dim=1)
    return torch.stack([drawn_codebooks(group, num_codebooks, SIZE) for group in groups])


@pytest.fixture
def grouped():
    built = GroupedVectorQuantizer(GROUPS, SIZE, DIMENSION)
    built.codebooks.copy_(codebooks()[:, 0])
    return built


def test_groups_equal_the_heads_of_vector_quantize_pytorch(grouped, record_property):
    peer = pytest.importorskip("vector_quantize_pytorch")
    vq = peer.VectorQuantize(
        DIMENSION,
        SIZE,
        heads=GROUPS,
        codebook_dim=DIMENSION // GROUPS,
        separate_codebook_per_head=True,
        rotation_trick=False,
    )
    vq._codebook.embed.copy_(grouped.codebooks)
    latents = speech_like(2, DIMENSION, 1000)
    others = latents.clone().requires_grad_()
    latents.requires_grad_()
    quantized, codes, commitment = grouped(latents)
    vectors, result, _ = vq.eval()(others.mT)
    searched = zip(grouped.searched(latents, codes), grouped.codebooks, strict=True)
    margins = torch.stack([euclidean_margin(rows, codebook) for (rows, _), codebook in searched])
    record_property("near ties", near_ties(codes, result.mT, margins))
    assert_close_to_peak(quantized.mT, vectors)
    vectors, _, loss = vq.train()(others.mT, freeze_codebook=True)
    torch.testing.assert_close(commitment, loss.sum() * GROUPS)
    ((quantized * 2).sum() + 1000 * commitment).backward()
    ((vectors * 2).sum() + 1000 * GROUPS * loss.sum()).backward()
    assert_close_to_peak(latents.grad, others.grad)


def test_residual_groups_equal_vector_quantize_pytorch(record_property):
    peer = pytest.importorskip("vector_quantize_pytorch")
    vq = peer.GroupedResidualVQ(
        dim=DIMENSION, groups=GROUPS, num_quantizers=2, codebook_size=SIZE, rotation_trick=False
    ).eval()
    groups = []
    for rvq, stack in zip(vq.rvqs, codebooks(2), strict=True):
        groups.append(ResidualVectorQuantizer(2, SIZE, DIMENSION // GROUPS))
        groups[-1].codebooks.copy_(stack)
        for layer, codebook in zip(rvq.layers, stack, strict=True):
            layer._codebook.embed.copy_(codebook[None])
    quantizer, latents = GroupedQuantizer(groups, 2), speech_like(2, DIMENSION, 1000)
    codes = quantizer.encode(latents)
    vectors, found, _ = vq(latents.mT)  # found (G, B, T, K)
    ties = 0
    for g, group in enumerate(latents.chunk(GROUPS, dim=1)):
        ours = codes[:, 2 * g : 2 * g + 2]
        searched = zip(groups[g].searched(group, ours), groups[g].codebooks, strict=True)
        margins = [euclidean_margin(rows, codebook) for (rows, _), codebook in searched]
        ties += near_ties(ours, found[g].mT, torch.stack(margins))
    record_property("near ties", ties)
    assert_close_to_peak(quantizer.decode(codes), vectors.mT)
    result = quantizer(latents)
    assert torch.equal(result.codes, codes)
    assert torch.equal(result.quantized, quantizer.decode(codes))
    torch.testing.assert_close(
        result.commitment,
        sum(q(x).commitment for q, x in zip(groups, latents.chunk(GROUPS, dim=1), strict=True)),
    )


def test_both_ways_to_group_codebooks_are_the_same(grouped):
    singles = []
    for codebook in grouped.codebooks:
        singles.append(VectorQuantizer(SIZE, DIMENSION // GROUPS))
        singles[-1].codebook.copy_(codebook)
    latents = speech_like(2, DIMENSION, 60)
    ours, official = grouped(latents), GroupedQuantizer(singles)(latents)
    assert torch.equal(ours.codes, official.codes)
    for pair in zip(ours, official, strict=True):
        torch.testing.assert_close(*pair)


def test_groups_of_finite_scalars():
    quantizer = GroupedQuantizer([FiniteScalarQuantizer((8, 7, 6, 6)) for _ in range(4)])
    latents = speech_like(1, 16, 50)
    quantized, codes, _ = quantizer(latents)
    assert codes.shape == (1, 4, 50)
    assert torch.equal(quantizer.decode(codes), quantized)
    alone = FiniteScalarQuantizer((8, 7, 6, 6)).encode(latents[:, 8:12])
    assert torch.equal(codes[:, 2:3], alone)


def test_a_group_that_is_not_finite_loses_its_code_alone(grouped):
    latents = speech_like(1, DIMENSION, 3)
    latents[0, 20, 1] = torch.nan
    assert (grouped.encode(latents) < 0).tolist() == [
        [[False, False, False], [False, True, False], [False, False, False]]
    ]


def test_groups_learn(grouped):
    torch.manual_seed(0)
    latents = speech_like(2, DIMENSION, 500)
    learner = MovingAverageLearner(grouped)
    learner.start(latents, iterations=3, rows_per_step=1000)
    before = grouped(latents).commitment
    for _ in range(5):
        learner.update(latents, grouped.encode(latents))
    assert grouped(latents).commitment < before


def test_groups_must_divide_the_dimension():
    with pytest.raises(ValueError, match="48 dimensions cannot be split into 5 equal groups"):
        GroupedVectorQuantizer(5, 16, 48)
