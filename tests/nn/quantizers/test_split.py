"""The split quantizer against the Mimi of transformers."""

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
    FactorizedResidualQuantizer,
    ResidualVectorQuantizer,
    SplitQuantizer,
)

mimi = pytest.importorskip("transformers.models.mimi.modeling_mimi")
DIMENSION, INNER, SIZE, STAGES = 64, 32, 256, 4


@pytest.fixture
def official():
    torch.manual_seed(0)
    config = mimi.MimiConfig(
        hidden_size=DIMENSION,
        vector_quantization_hidden_dimension=INNER,
        codebook_dim=INNER,
        codebook_size=SIZE,
        num_quantizers=STAGES,
        num_semantic_quantizers=1,
    )
    built = mimi.MimiSplitResidualVectorQuantizer(config).eval()
    latents = speech_like(2, DIMENSION, 1000, seed=5)
    with torch.no_grad():
        for half in (
            built.semantic_residual_vector_quantizer,
            built.acoustic_residual_vector_quantizer,
        ):
            drawn = drawn_codebooks(half.input_proj(latents), len(half.layers), SIZE)
            for layer, codebook in zip(half.layers, drawn, strict=True):
                usage = torch.rand(SIZE) * 9 + 0.5  # the codebook is stored as sums and counts
                layer.codebook.cluster_usage.copy_(usage)
                layer.codebook.embed_sum.copy_(codebook * usage[:, None])
    return built


@pytest.fixture
def quantizer(official):
    halves = []
    for half in (
        official.semantic_residual_vector_quantizer,
        official.acoustic_residual_vector_quantizer,
    ):
        built = ResidualVectorQuantizer(len(half.layers), SIZE, DIMENSION, INNER)
        built.in_proj.load_state_dict(half.input_proj.state_dict())
        built.out_proj.load_state_dict(half.output_proj.state_dict())
        built.codebooks.copy_(torch.stack([layer.codebook.embed for layer in half.layers]))
        halves.append(built)
    return SplitQuantizer(*halves)


def test_it_equals_mimi(quantizer, official, record_property):
    latents = speech_like(2, DIMENSION, 1000)
    codes = quantizer.encode(latents)
    result = official.encode(latents).transpose(0, 1)
    ties = 0
    for half, part in ((quantizer.semantic, slice(1)), (quantizer.acoustic, slice(1, None))):
        searched = zip(half.searched(latents, codes[:, part]), half.codebooks, strict=True)
        margins = [euclidean_margin(rows, codebook) for (rows, _), codebook in searched]
        ties += near_ties(codes[:, part], result[:, part], torch.stack(margins))
    record_property("near ties", ties)
    assert_close_to_peak(quantizer.decode(codes), official.decode(codes))
    for number in (1, 3):
        assert_close_to_peak(
            quantizer.decode(codes[:, :number]), official.decode(codes[:, :number])
        )


def test_training(quantizer):
    """Values as in evaluation; the straight-through gradient goes through both projections."""
    latents = speech_like(2, DIMENSION, 100).requires_grad_()
    quantized, codes, commitment = quantizer.train()(latents)
    assert torch.equal(codes, quantizer.encode(latents))
    torch.testing.assert_close(quantized, quantizer.decode(codes))
    weights = speech_like(2, DIMENSION, 100, seed=2)
    (gradient,) = torch.autograd.grad((quantized * weights).sum(), latents, retain_graph=True)
    halves = (quantizer.semantic, quantizer.acoustic)
    through = sum(half.out_proj.weight[..., 0] @ half.in_proj.weight[..., 0] for half in halves)
    assert_close_to_peak(gradient, through.T @ weights)
    torch.testing.assert_close(commitment, sum(half(latents).commitment for half in halves))


def test_frames_without_a_code(quantizer):
    latents = speech_like(1, DIMENSION, 3)
    latents[0, 5, 1] = torch.nan
    assert (quantizer.encode(latents) < 0).all(1).tolist() == [[False, True, False]]


def test_some_clips_go_without_acoustic_codes():
    torch.manual_seed(0)
    halves = (FactorizedResidualQuantizer(count, 32, 16) for count in (1, 2))
    quantizer = SplitQuantizer(*halves, subtract=True, separate=True, semantic_only=0.5)
    latents = torch.randn(40, 32, 5)
    result, semantic = quantizer.parts(latents)
    alone = (result.codes[:, 1:] == -1).all(2).all(1)
    assert 8 < alone.sum() < 32
    assert torch.equal(result.quantized[alone], semantic.quantized[alone])
    same = torch.isclose(result.quantized, semantic.quantized).flatten(1).all(1)
    assert torch.equal(same, alone)
    assert torch.equal(result.codes[~alone], quantizer.encode(latents)[~alone])
    quantizer.eval()
    assert (quantizer(latents).codes >= 0).all()
