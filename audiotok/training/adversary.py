"""The discriminators of a recipe, and the losses between them and the codec.

Both sides learn from one forward of the codec and the discriminators as they were before the step:
what they make of the real sound serves their own loss and feature matching.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from audiotok.errors import RecipeError
from audiotok.nn.adversarial import discriminator_loss, feature_matching, generator_loss
from audiotok.nn.discriminators import DISCRIMINATORS, Judgement
from audiotok.training.settings import DiscriminatorConfig


def build(config: DiscriminatorConfig, channels: int) -> nn.Module:
    """A discriminator of waveforms with so many channels.

    Raises:
        RecipeError: there is no such kind, or it does not take such settings.
    """
    if config.kind not in DISCRIMINATORS:
        near = difflib.get_close_matches(config.kind, DISCRIMINATORS, n=1, cutoff=0)
        raise RecipeError(
            f"unknown kind {config.kind!r}; did you mean {near[0]!r}? "
            f"There are: {', '.join(DISCRIMINATORS)}"
        )
    kind = DISCRIMINATORS[config.kind]
    known = [name for name in inspect.signature(kind).parameters if name != "waveform_channels"]
    for name in config.settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0)
            raise RecipeError(f"unknown key 'settings.{name}'; did you mean {near[0]!r}?")
    more = {}
    if "waveform_channels" in inspect.signature(kind).parameters:
        more["waveform_channels"] = channels
    try:
        return kind(**config.settings, **more)
    except (TypeError, ValueError) as reason:
        detail = " ".join(str(reason).split())
        raise RecipeError(
            f"settings {config.settings} do not fit {config.kind}: {detail}"
        ) from reason


class Adversary(nn.Module):
    """All discriminators; those that a step has not reached yet take no part in it."""

    def __init__(self, configs: Sequence[DiscriminatorConfig], channels: int):
        super().__init__()
        self.configs = tuple(configs)
        self.members = nn.ModuleList(build(config, channels) for config in configs)
        kinds = [config.kind for config in configs]
        self._names = [
            kind if kinds.count(kind) == 1 else f"{kind}_{number}"
            for number, kind in enumerate(kinds)
        ]
        self._learn(True)

    @property
    def weights(self) -> dict[str, float]:
        """Of the codec's losses, by name."""
        found = {}
        for name, config in zip(self._names, self.configs, strict=True):
            found[f"adversarial_{name}"] = config.adversarial
            found[f"features_{name}"] = config.feature_matching
        return {name: weight for name, weight in found.items() if weight}

    def learning(self, step: float = math.inf) -> list[nn.Parameter]:
        """The weights that learn at a step, by default at the last: those of discriminators that
        take part in it and are not frozen."""
        parts = [member for _, config, member in self._at(step) if not config.frozen]
        return [parameter for member in parts for parameter in member.parameters()]

    def own_losses(
        self, waveform: Tensor, reconstruction: Tensor, step: int
    ) -> tuple[dict[str, Tensor], dict[str, list[Judgement]]]:
        """What the discriminators learn from, and their judgements of the real sound."""
        losses, judged = {}, {}
        for name, config, member in self._at(step):
            with torch.set_grad_enabled(not config.frozen):
                judged[name] = member(waveform)
                if not config.frozen:
                    fake = member(reconstruction.detach())
                    losses[f"discriminator_{name}"] = discriminator_loss(
                        judged[name], fake, config.objective, config.reduction
                    )
        return losses, judged

    def losses(
        self, reconstruction: Tensor, judged: dict[str, list[Judgement]], step: int
    ) -> dict[str, Tensor]:
        """What the codec learns from, without the weights."""
        losses = {}
        for name, config, member in self._at(step):
            fake = member(reconstruction)
            if config.adversarial:
                losses[f"adversarial_{name}"] = generator_loss(
                    fake, config.objective, config.reduction
                )
            if config.feature_matching:
                losses[f"features_{name}"] = feature_matching(
                    judged[name], fake, config.reduction, config.relative
                )
        return losses

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, gradients pass through the discriminators and leave none in them."""
        self._learn(False)
        try:
            yield
        finally:
            self._learn(True)

    def _learn(self, on: bool) -> None:
        for config, member in zip(self.configs, self.members, strict=True):
            member.requires_grad_(on and not config.frozen)

    def _at(self, step: float) -> Iterator[tuple[str, DiscriminatorConfig, nn.Module]]:
        for name, config, member in zip(self._names, self.configs, self.members, strict=True):
            if step >= config.start_step:
                yield name, config, member
