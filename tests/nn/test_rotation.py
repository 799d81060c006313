"""The rotation trick: exact values, and gradients turned as vectors are (arXiv 2410.06424)."""

import pytest
import torch
from torch.nn import functional as F

from audiotok.nn.quantizers import (
    FactorizedResidualQuantizer,
    ResidualVectorQuantizer,
    VectorQuantizer,
)
from audiotok.nn.quantizers.base import rotated


def matrix(source, target):
    """The rotation and scaling that turns a vector (D,) into another, as in the paper."""
    one, other = F.normalize(source, dim=0), F.normalize(target, dim=0)
    middle = F.normalize(one + other, dim=0)
    turn = (
        torch.eye(len(one)).to(one) - 2 * torch.outer(middle, middle) + 2 * torch.outer(other, one)
    )
    return turn * target.norm() / source.norm()


def test_values_are_those_of_the_codewords_and_gradients_turn_with_them():
    torch.manual_seed(0)
    latents = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    quantized, gradient = (torch.randn(2, 5, 3, dtype=torch.float64) for _ in range(2))
    result = rotated(latents, quantized)
    assert torch.equal(result, quantized)
    result.backward(gradient)
    for clip in range(2):
        for frame in range(3):
            here = (clip, slice(None), frame)
            turn = matrix(latents.detach()[here], quantized[here])
            torch.testing.assert_close(turn @ latents.detach()[here], quantized[here])
            torch.testing.assert_close(latents.grad[here], turn.T @ gradient[here])


@pytest.mark.parametrize("latent", [[0.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
def test_gradients_stay_finite_where_there_is_no_turn(latent):
    latents = torch.tensor([[latent]]).mT.clone().requires_grad_()
    rotated(latents, torch.tensor([[[1.0], [0.0]]])).sum().backward()
    assert latents.grad.isfinite().all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: VectorQuantizer(8, 4),
        lambda: ResidualVectorQuantizer(2, 8, 4),
        lambda: FactorizedResidualQuantizer(2, 8, 4, 3),
    ],
)
def test_a_quantizer_changes_its_gradient_alone(make):
    torch.manual_seed(0)
    quantizer, latents = make(), torch.randn(2, 4, 6)
    for name, codebook in quantizer.named_buffers():
        assert name and codebook.normal_() is codebook
    found = []
    for gradient in ("straight_through", "rotation"):
        for part in quantizer.modules():
            if hasattr(part, "gradient"):
                part.gradient = gradient
        leaf = latents.clone().requires_grad_()
        result = quantizer(leaf)
        result.quantized.square().sum().backward()
        found.append((result, leaf.grad))
    (plain, straight), (turned, rotation) = found
    torch.testing.assert_close(turned.quantized, plain.quantized)
    assert torch.equal(turned.codes, plain.codes)
    torch.testing.assert_close(turned.commitment, plain.commitment)
    assert not torch.allclose(straight, rotation)
