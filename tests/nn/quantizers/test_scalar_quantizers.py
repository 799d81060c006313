"""FSQ, LFQ and BSQ against vector-quantize-pytorch, and X-Codec2's double bound."""

import pytest
import torch
from support.parity import UNIT_ROUNDOFF, assert_close_to_peak, near_ties, rows_of, speech_like

from audiotok.nn.quantizers import FiniteScalarQuantizer, LookupFreeQuantizer


def rounding_margin(latents, levels):
    """How far the bounded values (fp64) of each frame (B * T,) are from a tie of the rounding."""
    half = (torch.tensor(levels, dtype=torch.float64) - 1) * 1.001 / 2
    offset = torch.tensor([0.5 * (size % 2 == 0) for size in levels])
    rows = rows_of(latents).double()
    bounded = (rows + (offset / half).atanh()).tanh() * half - offset
    distance = (bounded - bounded.floor() - 0.5).abs()
    return (distance - 8 * UNIT_ROUNDOFF * half * (2 + rows.abs())).amin(1)


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (4,) * 8, (7, 6, 3)])
def test_fsq_equals_vector_quantize_pytorch(levels, record_property):
    peer = pytest.importorskip("vector_quantize_pytorch")
    quantizer, fsq = FiniteScalarQuantizer(levels), peer.FSQ(list(levels))
    latents = speech_like(2, len(levels), 1000)
    others = latents.clone().requires_grad_()
    latents.requires_grad_()
    quantized, codes, _ = quantizer(latents)
    vectors, result = fsq(others.mT)
    margin = rounding_margin(latents.detach(), levels)[None]
    record_property("near ties", near_ties(codes, result[:, None].long(), margin))
    same = (codes == result[:, None])[:, 0, :, None].expand_as(vectors)
    assert_close_to_peak(quantized.mT[same], vectors[same])
    weights = speech_like(2, len(levels), 1000, seed=2)
    (quantized * weights).sum().backward()
    (vectors * weights.mT).sum().backward()
    assert_close_to_peak(latents.grad, others.grad)
    assert torch.equal(quantizer.encode(latents), codes)
    assert torch.equal(quantizer.decode(codes), quantized)
    assert_close_to_peak(quantizer.codebook, fsq.implicit_codebook)


def test_fsq_with_projections_and_double_bound_equals_x_codec2(record_property):
    xcodec2 = pytest.importorskip("transformers.models.xcodec2.modeling_xcodec2")
    torch.manual_seed(0)
    config = xcodec2.Xcodec2Config()
    official = xcodec2.Xcodec2Quantizer(config).eval()
    dimension, levels = config.quantization_dim, config.quantization_levels
    quantizer = FiniteScalarQuantizer(levels, dimension, bound_twice=True)
    for ours, theirs in (("in_proj", "project_in"), ("out_proj", "project_out")):
        linear, conv = getattr(official, theirs), getattr(quantizer, ours)
        conv.load_state_dict({"weight": linear.weight[..., None], "bias": linear.bias})
    with torch.no_grad():
        quantizer.in_proj.weight *= 3
        official.project_in.weight *= 3
        latents = speech_like(1, dimension, 1500)
        vectors, result = official(latents.mT)
        quantized, codes, _ = quantizer(latents)
        once = quantizer._bound(quantizer.in_proj(latents))
        margin = rounding_margin(once, levels)[None] - 1e-5  # projections differ in rounding
    result = result.view(1, 1, -1).long()
    record_property("near ties", near_ties(codes, result, margin))
    same = (codes == result)[:, 0, :, None].expand_as(vectors)
    assert_close_to_peak(quantized.mT[same], vectors[same])
    assert_close_to_peak(quantizer.decode(codes).mT, official.from_codes(codes[:, 0, :, None]))


def test_fsq_by_hand():
    quantizer = FiniteScalarQuantizer((3, 2))
    latents = torch.tensor([[-9.0, 0.0, 9.0, 0.0], [-9.0, -9.0, 9.0, torch.nan]])[None]
    codes = quantizer.encode(latents)
    assert codes.tolist() == [[[0, 1, 5, -1]]]
    assert quantizer.decode(codes)[0, :, :3].tolist() == [[-1, 0, 1], [-1, -1, 0]]
    assert quantizer.codebook.tolist() == [[-1, -1], [0, -1], [1, -1], [-1, 0], [0, 0], [1, 0]]


@pytest.mark.parametrize("spherical", [False, True])
def test_lfq_and_bsq_equal_vector_quantize_pytorch(spherical):
    peer = pytest.importorskip("vector_quantize_pytorch")
    dimension = 10
    lfq = peer.LFQ(dim=dimension, spherical=spherical, commitment_loss_weight=1.0)
    quantizer = LookupFreeQuantizer(dimension, spherical, inverse_temperature=3.0, diversity=0.0)
    latents = speech_like(2, dimension, 500)
    others = latents.clone().requires_grad_()
    latents.requires_grad_()
    quantized, codes, commitment, entropy = quantizer(latents)
    (vectors, result, _), losses = lfq(others.mT, inv_temperature=3.0, return_loss_breakdown=True)
    assert near_ties(codes, result[:, None].long(), torch.ones(1, 1000)) == 0
    assert_close_to_peak(quantized.mT, vectors)
    torch.testing.assert_close(commitment, losses.commitment)
    # the peer cuts logarithms off at 1e-5, one codeword at a time
    torch.testing.assert_close(entropy, losses.per_sample_entropy, rtol=3e-3, atol=1e-5)
    weights = speech_like(2, dimension, 500, seed=2)
    ((quantized * weights).sum() + 100 * commitment).backward()
    ((vectors.mT * weights).sum() + 100 * losses.commitment).backward()
    assert_close_to_peak(latents.grad, others.grad)
    assert torch.equal(quantizer.encode(latents), codes)
    assert torch.equal(quantizer.decode(codes), quantized)


def test_the_entropy_of_lfq_against_all_codewords():
    """Per frame exactly; of the batch never below the true one, and equal to it for one frame."""
    latents, dimension = speech_like(1, 6, 40).double() * 0.3, 6
    words = LookupFreeQuantizer(dimension).decode(torch.arange(64)[None, None])[0].double()
    soft = (2 * 2.0 * latents[0].T @ words).softmax(1)
    entropy = -(soft * soft.log()).sum(1)
    mean = soft.mean(0)
    batch = -(mean * mean.log()).sum()

    def loss(latents, diversity):
        quantizer = LookupFreeQuantizer(dimension, inverse_temperature=2.0, diversity=diversity)
        return quantizer._entropy_loss(latents)

    torch.testing.assert_close(loss(latents, 0.0), entropy.mean())
    assert loss(latents, 0.0) - loss(latents, 1.0) >= batch
    assert loss(latents[..., :1], 1.0).abs() < 1e-9


def test_lfq_by_hand():
    quantizer = LookupFreeQuantizer(3, spherical=True)
    latents = torch.tensor([[1.0, -1.0, 0.0], [-2.0, -1.0, torch.inf], [0.5, 3.0, 1.0]])[None]
    codes = quantizer.encode(latents)
    assert codes.tolist() == [[[0b101, 0b001, -1]]]
    assert (quantizer.decode(codes)[0, :, 0] * 3**0.5).tolist() == pytest.approx([1, -1, 1])
