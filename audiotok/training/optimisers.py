"""AdamW, its learning rate (a function of the step), and its update."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from audiotok.errors import RecipeError
from audiotok.training.settings import OptimizerConfig


def make_optimizer(
    parameters: Iterable[nn.Parameter], settings: OptimizerConfig
) -> torch.optim.AdamW:
    """AdamW; set the learning rate before each step."""
    return torch.optim.AdamW(
        parameters,
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )


def learning_rate(settings: OptimizerConfig, step: int, steps: int) -> float:
    """The learning rate at a step, from 0 to `steps` - 1: a linear warm-up times the schedule."""
    warm_up = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    factor = 1.0
    if settings.schedule == "cosine":
        factor = (1 + math.cos(math.pi * step / steps)) / 2
        factor = settings.final + (1 - settings.final) * factor
    elif settings.schedule == "exponential":
        factor = settings.decay**step
    return settings.learning_rate * warm_up * factor


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def clipped_norm(parameters: Iterable[nn.Parameter], max_norm: float | None) -> torch.Tensor:
    """The norm of the gradient, which is scaled down to `max_norm` if it is larger."""
    return nn.utils.clip_grad_norm_(parameters, math.inf if max_norm is None else max_norm)


def apply_gradients(
    optimizer: torch.optim.Optimizer,
    parameters: Iterable[nn.Parameter],
    settings: OptimizerConfig,
    *,
    step: int,
    steps: int,
    loss: torch.Tensor,
) -> float:
    """Updates the parameters with the learning rate of a step, which is returned.

    Raises:
        RecipeError: the loss () or the norm of the gradient is not finite.
    """
    rate = learning_rate(settings, step, steps)
    set_learning_rate(optimizer, rate)
    norm = clipped_norm(parameters, settings.clip_norm)
    if not torch.isfinite(loss) or not torch.isfinite(norm):
        raise RecipeError(
            f"step {step + 1}: loss {float(loss):g}, norm of the gradient {float(norm):g}: not "
            "finite; lower optimizer.learning_rate, or set optimizer.clip_norm"
        )
    optimizer.step()
    return rate
