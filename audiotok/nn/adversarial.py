"""Adversarial losses, from the outputs of discriminators for real sound and reconstructions.

Hinge: Lim and Ye 2017, arXiv 1705.02894 (EnCodec, WavTokenizer). Least squares: Mao et al. 2017,
arXiv 1611.04076 (HiFi-GAN, DAC, SpeechTokenizer). Feature matching: Larsen et al. 2016, arXiv
1512.09300; as a mean of absolute differences in Kumar et al. 2019 (MelGAN), arXiv 1910.06711.

All take a list of pairs (logits, feature maps), one for each sub-discriminator. `reduction` is how
their losses are combined: "sum" (HiFi-GAN, DAC) or "mean" (WavTokenizer, EnCodec).
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

# Functions of logits, elementwise: the target of real sound is 1, that of fakes -1 or 0.
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
    """The loss of the discriminators; `fake` is of detached reconstructions."""
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
    """The adversarial loss of the codec: its reconstructions should be classified as real.

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
        for real_map, fake_map in zip(maps, fake_maps, strict=True):
            real_map = real_map.detach()
            distance = F.l1_loss(fake_map, real_map)
            distances.append(distance / real_map.abs().mean() if relative else distance)
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
