"""The discriminators of a recipe, and the losses between them and the codec.

Codec and discriminators learn from the same forward pass of the codec, and both see the
discriminators as they were before the step. The discriminators' outputs for the real sound are
computed once, for their own loss and for feature matching.
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
from audiotok.nn.discriminators import DISCRIMINATORS, DiscriminatorOutput
from audiotok.training.settings import DiscriminatorConfig


def build(config: DiscriminatorConfig, channels: int) -> nn.Module:
    """A discriminator of waveforms (B, channels, L).

    Raises:
        RecipeError: there is no such kind, or it does not take such settings.
    """
    if config.kind not in DISCRIMINATORS:
        similar = difflib.get_close_matches(config.kind, DISCRIMINATORS, n=1, cutoff=0)
        raise RecipeError(
            f"unknown kind {config.kind!r}; did you mean {similar[0]!r}? "
            f"There are: {', '.join(DISCRIMINATORS)}"
        )
    class_ = DISCRIMINATORS[config.kind]
    parameters = [
        name for name in inspect.signature(class_).parameters if name != "waveform_channels"
    ]
    for name in config.settings:
        if name not in parameters:
            similar = difflib.get_close_matches(name, parameters, n=1, cutoff=0)
            raise RecipeError(f"unknown key 'settings.{name}'; did you mean {similar[0]!r}?")
    options = {}
    if "waveform_channels" in inspect.signature(class_).parameters:
        options["waveform_channels"] = channels
    try:
        return class_(**config.settings, **options)
    except (TypeError, ValueError) as reason:
        detail = " ".join(str(reason).split())
        raise RecipeError(
            f"settings {config.settings} do not fit {config.kind}: {detail}"
        ) from reason


class Adversary(nn.Module):
    """All discriminators of a recipe; each starts at its `start_step`."""

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
        """Weights of the codec's losses, by name."""
        weights = {}
        for name, config in zip(self._names, self.configs, strict=True):
            weights[f"adversarial_{name}"] = config.adversarial
            weights[f"features_{name}"] = config.feature_matching
        return {name: weight for name, weight in weights.items() if weight}

    def learning(self, step: float = math.inf) -> list[nn.Parameter]:
        """The parameters that are trained at a step, by default at the last: those of
        discriminators that have started and are not frozen."""
        parts = [member for _, config, member in self._at(step) if not config.frozen]
        return [parameter for member in parts for parameter in member.parameters()]

    def discriminator_losses(
        self, waveform: Tensor, reconstruction: Tensor, step: int
    ) -> tuple[dict[str, Tensor], dict[str, list[DiscriminatorOutput]]]:
        """Losses of the discriminators by name, and their outputs for the real sound.

        Args:
            waveform: (B, C, L), the real sound.
            reconstruction: (B, C, L); no gradient reaches it.
        """
        losses, real = {}, {}
        for name, config, member in self._at(step):
            with torch.set_grad_enabled(not config.frozen):
                real[name] = member(waveform)
                if not config.frozen:
                    fake = member(reconstruction.detach())
                    losses[f"discriminator_{name}"] = discriminator_loss(
                        real[name], fake, config.objective, config.reduction
                    )
        return losses, real

    def generator_losses(
        self, reconstruction: Tensor, real: dict[str, list[DiscriminatorOutput]], step: int
    ) -> dict[str, Tensor]:
        """Losses of the codec by name, not weighted; `real` is that of `discriminator_losses`."""
        losses = {}
        for name, config, member in self._at(step):
            fake = member(reconstruction)
            if config.adversarial:
                losses[f"adversarial_{name}"] = generator_loss(
                    fake, config.objective, config.reduction
                )
            if config.feature_matching:
                losses[f"features_{name}"] = feature_matching(
                    real[name], fake, config.reduction, config.relative
                )
        return losses

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """In this context, gradients pass through the discriminators, but their weights get
        none."""
        self._learn(False)
        try:
            yield
        finally:
            self._learn(True)

    def _learn(self, requires_grad: bool) -> None:
        for config, member in zip(self.configs, self.members, strict=True):
            member.requires_grad_(requires_grad and not config.frozen)

    def _at(self, step: float) -> Iterator[tuple[str, DiscriminatorConfig, nn.Module]]:
        for name, config, member in zip(self._names, self.configs, self.members, strict=True):
            if step >= config.start_step:
                yield name, config, member
