"""VQ and RVQ against the `encodec` package and vector-quantize-pytorch."""

import encodec.quantization.core_vq as official
import pytest
import torch
from support.parity import (
    assert_close_to_peak,
    drawn_codebooks,
    euclidean_margin,
    near_ties,
    rows_of,
    speech_like,
)

from audiotok.nn.quantizers import (
    MovingAverageLearner,
    ResidualVectorQuantizer,
    VectorQuantizer,
)

DIMENSION, SIZE, STAGES = 64, 256, 4


def codebooks(num_codebooks=STAGES):
    return drawn_codebooks(speech_like(2, DIMENSION, 1000, seed=5), num_codebooks, SIZE)


@pytest.fixture
def quantizer():
    built = ResidualVectorQuantizer(STAGES, SIZE, DIMENSION)
    built.codebooks.copy_(codebooks())
    return built


@pytest.fixture
def encodec_stack():
    built = official.ResidualVectorQuantization(
        num_quantizers=STAGES,
        dim=DIMENSION,
        codebook_size=SIZE,
        kmeans_init=False,
        threshold_ema_dead_code=0,
    )
    for layer, codebook in zip(built.layers, codebooks(), strict=True):
        layer._codebook.embed.copy_(codebook)
        layer._codebook.embed_avg.copy_(codebook * 3)
        layer._codebook.cluster_size.fill_(3)
    return built


def margins(quantizer, latents, codes):
    searched = quantizer.searched(latents, codes)
    pairs = zip(searched, quantizer.codebooks, strict=True)
    return torch.stack([euclidean_margin(rows, codebook) for (rows, _), codebook in pairs])


def test_one_codebook_equals_encodec_and_vector_quantize_pytorch(record_property):
    peer = pytest.importorskip("vector_quantize_pytorch")
    latents, codebook = speech_like(2, DIMENSION, 1000), codebooks(1)[0]
    quantizer = VectorQuantizer(SIZE, DIMENSION)
    quantizer.codebook.copy_(codebook)
    quantized, codes, _ = quantizer(latents)
    margin = euclidean_margin(rows_of(latents), codebook)[None]

    encodec_vq = official.VectorQuantization(DIMENSION, SIZE, kmeans_init=False).eval()
    encodec_vq._codebook.embed.copy_(codebook)
    vectors, result, _ = encodec_vq(latents)
    record_property("near ties, encodec", near_ties(codes, result[:, None], margin))
    assert_close_to_peak(quantized, vectors)

    vq = peer.VectorQuantize(DIMENSION, SIZE, rotation_trick=False).eval()
    vq._codebook.embed.copy_(codebook[None])
    vectors, result, _ = vq(latents.transpose(1, 2))
    record_property("near ties, vq-pytorch", near_ties(codes, result[:, None], margin))
    assert_close_to_peak(quantized, vectors.transpose(1, 2))


def test_one_codebook_has_the_gradients_of_vector_quantize_pytorch():
    peer = pytest.importorskip("vector_quantize_pytorch")
    codebook = codebooks(1)[0]
    quantizer = VectorQuantizer(SIZE, DIMENSION)
    quantizer.codebook.copy_(codebook)
    vq = peer.VectorQuantize(DIMENSION, SIZE, rotation_trick=False).train()
    vq._codebook.embed.copy_(codebook[None])
    weights, gradients = speech_like(2, DIMENSION, 300, seed=3), []
    for call in (
        quantizer,
        lambda x: [y.mT if y.ndim == 3 else y for y in vq(x.mT, freeze_codebook=True)],
    ):
        latents = speech_like(2, DIMENSION, 300).requires_grad_()
        quantized, _, commitment = call(latents)
        ((quantized * weights).sum() + 7 * commitment.sum()).backward()
        gradients.append(latents.grad)
    assert_close_to_peak(*gradients)


def test_the_stack_equals_encodec(quantizer, encodec_stack, record_property):
    latents = speech_like(2, DIMENSION, 1000)
    encodec_stack.eval()
    codes = quantizer.encode(latents)
    result = encodec_stack.encode(latents)
    ties = near_ties(codes, result.transpose(0, 1), margins(quantizer, latents, codes))
    record_property("near ties", ties)
    assert_close_to_peak(quantizer.decode(codes), encodec_stack.decode(codes.transpose(0, 1)))
    assert torch.equal(quantizer.encode(latents, 2), codes[:, :2])
    assert torch.equal(
        quantizer.decode(codes[:, :2]), encodec_stack.decode(codes.transpose(0, 1)[:2])
    )


def test_the_stack_equals_vector_quantize_pytorch(quantizer, record_property):
    peer = pytest.importorskip("vector_quantize_pytorch")
    vq = peer.ResidualVQ(
        dim=DIMENSION, num_quantizers=STAGES, codebook_size=SIZE, rotation_trick=False
    )
    for layer, codebook in zip(vq.layers, quantizer.codebooks, strict=True):
        layer._codebook.embed.copy_(codebook[None])
    latents = speech_like(2, DIMENSION, 1000).requires_grad_()
    codes = quantizer.encode(latents)
    vectors, result, _ = vq.eval()(latents.mT)
    record_property("near ties", near_ties(codes, result.mT, margins(quantizer, latents, codes)))
    assert_close_to_peak(quantizer.decode(codes), vectors.mT)
    # in training its commitments reach the latents from every stage, as ours do
    (official,) = torch.autograd.grad(
        vq.train()(latents.mT, freeze_codebook=True)[2].sum(), latents
    )
    (ours,) = torch.autograd.grad(quantizer(latents).commitment, latents)
    assert_close_to_peak(ours, official)


def test_training_the_stack_equals_encodec(quantizer, encodec_stack):
    """Values, straight-through gradient, losses, and the moving averages of the codebooks."""
    learner = MovingAverageLearner(quantizer, dead_ratio=0)
    learner.counts.fill_(3)
    learner.sums.copy_(quantizer.codebooks * 3)
    latents, others = (speech_like(2, DIMENSION, 1000).requires_grad_() for _ in range(2))
    weights = speech_like(2, DIMENSION, 1000, seed=3)
    quantized, codes, commitment = quantizer.train()(latents)
    learner.update(latents, codes)
    official, result, losses = encodec_stack.train()(others)
    assert torch.equal(codes, result.transpose(0, 1))
    assert_close_to_peak(quantized, official)
    torch.testing.assert_close(commitment, losses.sum())
    (quantized * weights).sum().backward()
    (official * weights).sum().backward()
    assert_close_to_peak(latents.grad, others.grad)
    for layer, codebook in zip(encodec_stack.layers, quantizer.codebooks, strict=True):
        assert_close_to_peak(codebook, layer._codebook.embed)


def test_the_first_commitment_has_the_gradient_of_encodec(quantizer, encodec_stack):
    latents, others = (speech_like(1, DIMENSION, 400).requires_grad_() for _ in range(2))
    quantizer(latents, num_codebooks=1).commitment.backward()
    encodec_stack.train()(others, n_q=1)[2].sum().backward()
    assert_close_to_peak(latents.grad, others.grad)


def test_forward_gives_what_encode_and_decode_give(quantizer):
    latents = speech_like(3, DIMENSION, 50)
    quantized, codes, _ = quantizer(latents)
    assert torch.equal(codes, quantizer.encode(latents))
    assert torch.equal(quantized, quantizer.decode(codes))


def test_frames_without_a_code(quantizer):
    latents = speech_like(1, DIMENSION, 4)
    latents[0, 3, 2] = torch.inf
    codes = quantizer.encode(latents)
    assert (codes[0, :, 2] == -1).all()
    assert (codes[0, :, [0, 1, 3]] >= 0).all()
    assert torch.equal(quantizer(latents).codes, codes)


def test_dropout_keeps_a_random_number_of_codebooks_of_each_clip(quantizer):
    torch.manual_seed(0)
    quantizer.dropout = 0.75
    latents = speech_like(32, DIMENSION, 5)
    complete = quantizer.encode(latents)
    quantized, codes, commitment = quantizer.train()(latents)
    kept = (codes >= 0).sum(1)[:, 0]
    assert set(kept[:24].tolist()) == {1, 2, 3, 4}
    assert (kept[24:] == STAGES).all()
    expected = torch.zeros(())
    for clip, number in enumerate(kept.tolist()):
        assert torch.equal(codes[clip, :number], complete[clip, :number])
        assert (codes[clip, number:] == -1).all()
        alone = quantizer.decode(complete[clip : clip + 1, :number])
        assert torch.equal(quantized[clip : clip + 1], alone)
        expected = expected + quantizer.eval()(latents[clip : clip + 1], number).commitment / 32
    torch.testing.assert_close(commitment, expected)
    assert torch.equal(quantizer.eval()(latents).codes, complete)


def test_a_learner_starts_by_k_means_and_brings_every_code_into_use():
    torch.manual_seed(0)
    quantizer = ResidualVectorQuantizer(2, 16, 4)
    learner = MovingAverageLearner(quantizer, decay=0.8)
    latents = torch.randn(4, 4, 100)
    learner.start(latents, iterations=5, rows_per_step=200)
    first = [quantizer(latents, k).commitment.item() for k in (1, 2)]
    assert first[1] - first[0] < first[0] < 1  # each stage leaves less
    quantizer.codebooks[:, 1:] = 1e3
    learner.sums.copy_(quantizer.codebooks * learner.counts[..., None])
    for seed in range(40):
        latents = torch.randn(2, 4, 100, generator=torch.Generator().manual_seed(seed))
        learner.update(latents, quantizer.encode(latents))
    codes = quantizer.encode(torch.randn(8, 4, 200))
    assert [codebook.unique().numel() for codebook in codes.unbind(1)] == [16, 16]


def test_a_learner_moves_only_the_codebooks_that_were_used(quantizer):
    learner = MovingAverageLearner(quantizer, dead_ratio=0)
    learner.counts.fill_(1)
    learner.sums.copy_(quantizer.codebooks)
    before = quantizer.codebooks.clone()
    latents = speech_like(1, DIMENSION, 200)
    learner.update(latents, quantizer(latents, num_codebooks=2).codes)
    moved = (quantizer.codebooks != before).flatten(1).any(1)
    assert moved.tolist() == [True, True, False, False]


def test_too_few_latents_cannot_start(quantizer):
    with pytest.raises(ValueError, match="20 latents cannot initialise a codebook of 256"):
        MovingAverageLearner(quantizer).start(speech_like(1, DIMENSION, 20), 1, 20)
