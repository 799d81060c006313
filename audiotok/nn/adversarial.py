"""Adversarial losses of what discriminators say of real sound and of reconstructions.

Hinge: Lim and Ye 2017, arXiv 1705.02894 (EnCodec, WavTokenizer). Least squares: Mao et al. 2017,
arXiv 1611.04076 (HiFi-GAN, DAC, SpeechTokenizer). Feature matching: Larsen et al. 2016, arXiv
1512.09300; as a mean of absolute differences in Kumar et al. 2019 (MelGAN), arXiv 1910.06711.

All take lists of judgements (logits, feature maps), one for each sub-discriminator. `reduction`
says how those add up: "sum" (HiFi-GAN, DAC) or "mean" (WavTokenizer, EnCodec).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from audiotok.nn.discriminators import DiscriminatorOutput

Objective = Literal["hinge", "least_squares"]
Reduction = Literal["sum", "mean"]

# Of logits, elementwise: what counts as real is pulled to 1, what counts as fake to -1 or 0.
_REAL: dict[str, Callable[[Tensor], Tensor]] = {
    "hinge": lambda logits: F.relu(1 - logits),
    "least_squares": lambda logits: (1 - logits).square(),
}
_FAKE: dict[str, Callable[[Tensor], Tensor]] = {
    "hinge": lambda logits: F.relu(1 + logits),
    "least_squares": lambda logits: logits.square(),
}


def discriminator_loss(
    real: Sequence[DiscriminatorOutput],
    fake: Sequence[DiscriminatorOutput],
    objective: Objective = "hinge",
    reduction: Reduction = "sum",
) -> Tensor:
    """What the discriminators learn from; `fake` is of detached reconstructions."""
    as_real, as_fake = _of(_REAL, objective), _of(_FAKE, objective)
    losses = [
        as_real(logits).mean() + as_fake(fake_logits).mean()
        for (logits, _), (fake_logits, _) in zip(real, fake, strict=True)
    ]
    return _reduced(losses, reduction)


def generator_loss(
    fake: Sequence[DiscriminatorOutput],
    objective: Objective = "hinge",
    reduction: Reduction = "sum",
) -> Tensor:
    """What the codec learns from: its reconstructions should count as real.

    "hinge" is relu(1 - logits), as in EnCodec's paper and in WavTokenizer, not -logits.
    """
    as_real = _of(_REAL, objective)
    return _reduced([as_real(logits).mean() for logits, _ in fake], reduction)


def feature_matching(
    real: Sequence[DiscriminatorOutput],
    fake: Sequence[DiscriminatorOutput],
    reduction: Reduction = "sum",
    relative: bool = False,
) -> Tensor:
    """Mean absolute differences of the feature maps; no gradient goes to those of `real`.

    The maps of a sub-discriminator are summed. With `relative`, as in EnCodec (equation 3), each
    difference is divided by the mean magnitude of the real map, and the maps are averaged.
    """
    losses = []
    for (_, maps), (_, fake_maps) in zip(real, fake, strict=True):
        distances = []
        for one, other in zip(maps, fake_maps, strict=True):
            one = one.detach()
            distance = F.l1_loss(other, one)
            distances.append(distance / one.abs().mean() if relative else distance)
        losses.append(_reduced(distances, "mean" if relative else "sum"))
    return _reduced(losses, reduction)


def _of(table: dict[str, Callable], objective: str) -> Callable[[Tensor], Tensor]:
    if objective not in table:
        raise ValueError(f"objective {objective!r} is none of {', '.join(table)}")
    return table[objective]


def _reduced(losses: list[Tensor], reduction: str) -> Tensor:
    if reduction not in ("sum", "mean"):
        raise ValueError(f"reduction {reduction!r} is neither 'sum' nor 'mean'")
    stacked = torch.stack(losses)
    return stacked.sum() if reduction == "sum" else stacked.mean()
