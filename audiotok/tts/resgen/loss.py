"""The losses of ResGen: the bound on masked sums, the codes of a layer, and durations.

The sum is over frames to be generated with at least one masked layer, without a weight for time
(section 3.2 of the paper), and is divided by all frames to be generated and by the dimensions:
nats per dimension. Cross-entropies of codes are per code.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from audiotok.tts.resgen.masking import draw_visible, is_visible
from audiotok.tts.resgen.network import Condition, Network


class Losses(NamedTuple):
    """Of one batch, each (): `loss` is what is minimised."""

    loss: Tensor
    regression: Tensor  # tokens: cross-entropy of the codes, nats per code
    classification: Tensor
    duration: Tensor


def draw_state(
    model: Network, condition: Condition, generator: torch.Generator | None = None
) -> tuple[Tensor, int | None]:
    """The visible layers (B, T) of a training example, and the layer to learn, if there is one.

    Prompts are visible, and so is padding. For tokens, one layer is drawn for the batch: layers
    above are visible, those below masked, and the layer itself is masked in some frames.
    """
    depth = model.depth
    lengths, prompts = condition.lengths.tolist(), condition.prompt_frames.tolist()
    visible = torch.full((len(lengths), max(lengths)), depth)
    layer = None
    if model.settings.predictor == "tokens":
        layer = int(torch.randint(depth, (), generator=generator))
    for row, (length, prompt) in enumerate(zip(lengths, prompts, strict=True)):
        frames = length - prompt
        if layer is None:
            visible[row, prompt:length] = draw_visible(frames, depth, generator)
        else:
            visible[row, prompt:length] = layer + draw_visible(frames, 1, generator)
    return visible.to(condition.durations.device), layer


def losses(
    model: Network,
    codes: Tensor,
    condition: Condition,
    *,
    state: tuple[Tensor, int | None],
    q_gradient: bool = False,
    duration_weight: float = 1.0,
) -> Losses:
    """The losses of codes (B, D, T) in a state of `draw_state`.

    Args:
        q_gradient: see `Mixture.bound`.
        duration_weight: of the squared error of log durations; the paper gives none.
    """
    visible, layer = state
    encoded, log_durations = model.encode_text(condition)
    hidden = model(codes, visible, model.expand(encoded, condition), condition)
    frames = torch.arange(visible.shape[1], device=visible.device)
    target = (frames >= condition.prompt_frames[:, None]) & (frames < condition.lengths[:, None])
    with torch.autocast(hidden.device.type, enabled=False):
        duration = _duration_loss(log_durations.to(model.scale), condition)
        hidden, count = hidden.to(model.codebooks), target.sum()
        if layer is not None:
            trained = target & (visible == layer)
            nats = F.cross_entropy(
                model.logits(hidden[trained], layer), codes[:, layer][trained], reduction="sum"
            )
            regression, classification = nats / count, torch.zeros_like(nats)
        else:
            trained = target & (visible < model.depth)
            masked = ~is_visible(visible, model.depth)
            targets = model.summed(codes, masked)[trained] / model.scale
            bound = model.mixture(hidden[trained]).bound(targets, q_gradient)
            share = count * model.settings.latents
            regression = bound.regression.sum() / share
            classification = bound.classification.sum() / share
        total = regression + classification + duration_weight * duration
    return Losses(total, regression, classification, duration)


def _duration_loss(log_durations: Tensor, condition: Condition) -> Tensor:
    """Mean squared error of log durations, of phones that belong to no prompt."""
    starts = condition.durations.cumsum(1) - condition.durations
    trained = (condition.durations > 0) & (starts >= condition.prompt_frames[:, None])
    errors = log_durations - condition.durations.clamp(min=1).to(log_durations).log()
    return (errors.square() * trained).sum() / trained.sum().clamp(min=1)
