"""A step of the optimizer: rate, clipping, and losses that are not finite."""

import pytest
import torch
from torch import nn

from audiotok.errors import RecipeError
from audiotok.training.optimisers import apply_gradients, make_optimizer
from audiotok.training.settings import OptimizerConfig

SETTINGS = OptimizerConfig(learning_rate=0.1, weight_decay=0.0, warmup_steps=2, clip_norm=1.0)


def step_of(gradient, loss):
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor(gradient)
    optimizer = make_optimizer([weight], SETTINGS)
    rate = apply_gradients(optimizer, [weight], SETTINGS, step=0, steps=10, loss=torch.tensor(loss))
    return rate, weight


def test_a_step_has_the_rate_of_the_step_and_a_clipped_gradient():
    rate, weight = step_of([3.0, -4.0], 1.0)
    assert rate == pytest.approx(0.05)
    assert weight.tolist() == pytest.approx([0.95, 1.05], abs=1e-4)
    assert weight.grad.norm().item() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("gradient, loss", [([1.0, 1.0], float("nan")), ([float("inf"), 1.0], 1.0)])
def test_what_is_not_finite_stops_the_run(gradient, loss):
    with pytest.raises(RecipeError, match="step 1: .*lower optimizer.learning_rate"):
        step_of(gradient, loss)
