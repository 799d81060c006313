"""Factorized codebooks against the DAC of transformers; LM-SPT's order of things by formula."""

import pytest
import torch
from support.parity import assert_close_to_peak, cosine_margin, near_ties, rows_of, speech_like
from torch.nn import functional as F

from audiotok.nn.quantizers import (
    FactorizedQuantizer,
    FactorizedResidualQuantizer,
    SplitQuantizer,
)

dac = pytest.importorskip("transformers.models.dac.modeling_dac")
DIMENSION, SIZE, STAGES = 64, 512, 5


@pytest.fixture
def official():
    torch.manual_seed(0)
    config = dac.DacConfig(
        hidden_size=DIMENSION, codebook_size=SIZE, codebook_dim=8, n_codebooks=STAGES
    )
    built = dac.DacResidualVectorQuantizer(config)
    latents, residual = speech_like(4, DIMENSION, 500, seed=5), None
    with torch.no_grad():
        residual = latents
        for stage in built.quantizers:  # codewords of all directions that there are
            projected = rows_of(stage.in_proj(residual))
            scale = 0.5 + torch.rand(SIZE, 1)
            stage.codebook.weight.copy_(projected[torch.randperm(len(projected))[:SIZE]] * scale)
            residual = residual - stage(residual)[0]
    return built


def like(official, **options):
    built = FactorizedResidualQuantizer(STAGES, SIZE, DIMENSION, **options)
    state = official.state_dict()
    built.load_state_dict(
        {
            name.replace("quantizers", "stages").replace("codebook.weight", "codebook"): value
            for name, value in state.items()
        }
    )
    return built


def projections(quantizer, stages, *latents):
    """What each of the stages searches while `quantizer` works on latents: rows (N, d)."""
    seen = []
    hooks = [
        stage.in_proj.register_forward_hook(lambda module, inputs, output: seen.append(output))
        for stage in stages
    ]
    with torch.no_grad():
        result = quantizer(*latents)
    for hook in hooks:
        hook.remove()
    return result, [rows_of(rows) for rows in seen]


def test_the_stack_equals_dac(official, record_property):
    quantizer, latents = like(official).eval(), speech_like(3, DIMENSION, 500)
    codes = quantizer.encode(latents)
    _, ours = projections(quantizer, quantizer.stages, latents)
    (vectors, result, *_), theirs = projections(official.eval(), official.quantizers, latents)
    searched = zip(ours, quantizer.codebooks, theirs, strict=True)
    margins = torch.stack([cosine_margin(*rows) for rows in searched])
    record_property("near ties", near_ties(codes, result, margins))
    assert torch.equal(quantizer(latents).codes, codes)
    same = (codes == result).all(1)[:, None].expand_as(vectors)
    assert_close_to_peak(quantizer(latents).quantized[same], vectors[same])
    assert_close_to_peak(quantizer.decode(codes), official.from_codes(codes)[0])
    assert torch.equal(quantizer.encode(latents, 2), codes[:, :2])
    assert_close_to_peak(quantizer.decode(codes[:, :2]), official.from_codes(codes[:, :2])[0])
    torch.testing.assert_close(quantizer(latents).quantized, quantizer.decode(codes))


def gradients(quantizer, latents, weights, losses):
    """Of a quantizer's vectors and losses, with respect to latents and parameters."""
    latents = latents.clone().requires_grad_()
    quantized, commitment, codebook_loss = losses(quantizer(latents))
    ((quantized * weights).sum() + 25 * commitment + 100 * codebook_loss).backward()
    named = {name.removesuffix(".weight"): p.grad for name, p in quantizer.named_parameters()}
    return {name.split(".", 1)[1]: grad for name, grad in named.items()} | {"": latents.grad}


def test_gradients_and_losses_equal_dac(official):
    """One clip, one frame rate: the official code averages its losses over the whole batch."""
    latents = speech_like(1, DIMENSION, 200)
    weights = speech_like(1, DIMENSION, 200, seed=3)
    quantizer, official = like(official).train(), official.train()
    result, (_, found, _, commitment, codebook_loss) = quantizer(latents), official(latents)
    assert torch.equal(result.codes, found)
    torch.testing.assert_close(result.commitment, commitment[0])
    torch.testing.assert_close(result.codebook_loss, codebook_loss[0])
    ours = gradients(quantizer, latents, weights, lambda r: (r[0], r[2], r[3]))
    theirs = gradients(official, latents, weights, lambda r: (r[0], r[3].mean(), r[4].mean()))
    assert ours.keys() == theirs.keys()
    assert len(ours) == 5 * STAGES + 1
    for name, gradient in ours.items():
        assert_close_to_peak(gradient, theirs[name])


def test_dropout_draws_as_dac_does(official):
    official.quantizer_dropout = 0.5
    quantizer, latents = like(official, dropout=0.5).train(), speech_like(8, DIMENSION, 100)
    torch.manual_seed(3)
    quantized, codes, _, _ = quantizer(latents)
    torch.manual_seed(3)
    theirs, result, *_ = official.train()(latents)
    assert_close_to_peak(quantized, theirs)
    used = codes >= 0
    assert 0 < used[:4].float().mean() < 1
    assert used[4:].all()
    assert torch.equal(codes[used], result[used])


def test_a_zero_vector_and_a_zero_codeword_score_zero():
    quantizer = FactorizedQuantizer(4, 8)
    with torch.no_grad():
        quantizer.codebook[:] = -torch.eye(4, 8) - 0.1
        quantizer.codebook[2] = 0
        quantizer.in_proj.weight[:] = torch.eye(8)[..., None]
        quantizer.in_proj.bias[:] = 0
    latents = torch.stack([torch.zeros(8), torch.ones(8), -torch.eye(8)[1]], 1)[None]
    assert quantizer.encode(latents).tolist() == [[[0, 2, 1]]]


def test_frames_without_a_code(official):
    quantizer, latents = like(official), speech_like(1, DIMENSION, 4)
    latents[0, 3, 2] = torch.nan
    for codes in (quantizer.encode(latents), quantizer(latents).codes):
        assert (codes[0, :, 2] == -1).all()
        assert (codes[0, :, [0, 1, 3]] >= 0).all()


def test_lm_spt_quantizes_what_the_semantic_codebook_left_over(record_property):
    """arXiv 2506.16738: two encoders, the semantic vectors taken from the acoustic latents."""
    torch.manual_seed(0)
    semantic, acoustic = speech_like(1, 32, 800), speech_like(1, 32, 800, seed=4)
    first = FactorizedQuantizer(512, 32)
    rest = FactorizedResidualQuantizer(3, 256, 32)
    quantizer = SplitQuantizer(first, rest, subtract=True, separate=True)

    def formula(stage, latents):
        projected = stage.in_proj(latents)
        rows, words = F.normalize(rows_of(projected)), F.normalize(stage.codebook)
        distances = rows.pow(2).sum(1, True) - 2 * rows @ words.T + words.pow(2).sum(1)[None]
        codes = (-distances).max(1).indices[None]
        return rows_of(projected), codes, stage.out_proj(stage.codebook[codes].mT)

    with torch.no_grad():
        rows, code, total = formula(first, semantic)
        residual, searched, expected = acoustic - total, [rows], [code]
        for stage in rest.stages:
            rows, code, vectors = formula(stage, residual)
            residual, total = residual - vectors, total + vectors
            searched.append(rows)
            expected.append(code)
    expected = torch.stack(expected, 1)
    latents = torch.cat([semantic, acoustic], 1)
    codes = quantizer.encode(latents)
    assert torch.equal(quantizer.encode(latents, 2), codes[:, :2])
    result, ours = projections(quantizer, [first, *rest.stages], latents)
    triples = zip(ours, quantizer.codebooks, searched, strict=True)
    margins = torch.stack([cosine_margin(*triple) for triple in triples])
    record_property("near ties", near_ties(codes, expected, margins))
    same = (codes == expected).all(1)[:, None].expand_as(total)
    assert_close_to_peak(quantizer.decode(codes)[same], total[same])
    assert torch.equal(result.codes, codes)
    torch.testing.assert_close(result.quantized, quantizer.decode(codes))
    parts = first(semantic), rest(acoustic - first(semantic).quantized)
    torch.testing.assert_close(
        result.codebook_loss, parts[0].codebook_loss + parts[1].codebook_loss
    )
