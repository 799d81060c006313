"""How the codebooks of a network start and learn, whichever quantizer it has."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from audiotok.errors import RecipeError
from audiotok.kernels import Processes
from audiotok.nn.quantizers import (
    FiniteScalarQuantizer,
    GroupedVectorQuantizer,
    LookupFreeQuantizer,
    MovingAverageLearner,
    ResidualVectorQuantizer,
    SplitQuantizer,
    VectorQuantizer,
    codebooks_of,
)
from audiotok.training.settings import QuantizerConfig

_BY_AVERAGES = (VectorQuantizer, ResidualVectorQuantizer, GroupedVectorQuantizer)


def sizes(quantizer: nn.Module) -> list[int]:
    """Codewords of each codebook, in the order of its codes."""
    if hasattr(quantizer, "codebook_sizes"):
        return list(quantizer.codebook_sizes)
    if isinstance(quantizer, FiniteScalarQuantizer):
        return [math.prod(quantizer.levels)]
    if isinstance(quantizer, LookupFreeQuantizer):
        return [2**quantizer.dimension]
    if isinstance(quantizer, SplitQuantizer):
        return sizes(quantizer.semantic) + sizes(quantizer.acoustic)
    return [len(codebook) for codebook in codebooks_of(quantizer)]


def by_averages(quantizer: nn.Module) -> list[tuple[nn.Module, slice]]:
    """The parts of a quantizer that learn by moving averages, each with its slice of the codes."""
    if isinstance(quantizer, _BY_AVERAGES):
        return [(quantizer, slice(None))]
    if isinstance(quantizer, SplitQuantizer):
        number = quantizer.num_semantic
        parts = (quantizer.semantic, slice(number)), (quantizer.acoustic, slice(number, None))
        return [(part, where) for part, where in parts if isinstance(part, _BY_AVERAGES)]
    return []


def prepare(network: nn.Module, settings: QuantizerConfig) -> None:
    """Sets the shares of clips that do without codebooks, errors of codes, and the gradient; raises
    RecipeError where the network does not allow them."""
    if hasattr(network, "prepare"):
        network.prepare(settings)
        return
    if settings.errors is not None:
        raise RecipeError(
            "quantizer.errors are for the family decoder, whose codes do not learn: set "
            "family=decoder and start_from"
        )
    _set_dropout(network.quantizer, settings)
    _set_gradient(network.quantizer, settings.gradient)


def _set_gradient(quantizer: nn.Module, gradient: str) -> None:
    parts = [part for part in quantizer.modules() if hasattr(part, "gradient")]
    if not parts and gradient != QuantizerConfig().gradient:
        raise RecipeError(
            f"quantizer.gradient {gradient} needs codewords to turn to: a "
            f"{type(quantizer).__name__} has none; take vq, rvq or factorized"
        )
    for part in parts:
        part.gradient = gradient


def _set_dropout(quantizer: nn.Module, settings: QuantizerConfig) -> None:
    split = isinstance(quantizer, SplitQuantizer)
    if settings.dropout:
        residual = quantizer.acoustic if split else quantizer
        if not hasattr(residual, "dropout"):
            raise RecipeError(
                f"quantizer.dropout {settings.dropout} needs a residual quantizer: "
                f"this one is a {type(residual).__name__}"
            )
        residual.dropout = settings.dropout
    if settings.semantic_only:
        if not split:
            raise RecipeError(
                f"quantizer.semantic_only {settings.semantic_only} needs semantic codebooks: "
                "take the family lm-spt"
            )
        quantizer.semantic_only = settings.semantic_only


class Codebooks(nn.Module):
    """The codebooks of a network while it trains; its state is part of a run's."""

    def __init__(
        self,
        quantizer: nn.Module,
        settings: QuantizerConfig,
        seed: int,
        processes: Processes | None = None,
    ):
        super().__init__()
        self.settings, self.processes = settings, processes
        self._quantizer = [quantizer]  # not a submodule: its weights are its own
        self._parts = by_averages(quantizer)
        self.learners = nn.ModuleList(
            MovingAverageLearner(part, settings.decay, dead_ratio=settings.dead_ratio)
            for part, _ in self._parts
        )
        self._seed = seed
        self.generator = torch.Generator().manual_seed(seed)

    def to(self, device: torch.device) -> Codebooks:
        self.generator = torch.Generator(device).manual_seed(self._seed)
        return super().to(device)

    def get_extra_state(self) -> Tensor:
        return self.generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        self.generator.set_state(state.cpu())

    @torch.no_grad()
    def start(self, collect: Callable[[int], Tensor], frames: int) -> None:
        """k-means on latents (B, D, T) that `collect(least)` returns, at least so many frames.

        An update will see `frames` frames, those of all processes together.
        """
        if not self.learners:
            return
        latents = collect(self.settings.kmeans_latents)
        for learner, (part, _) in zip(self.learners, self._parts, strict=True):
            inputs = self._inputs_of(part, latents)
            learner.start(inputs, self.settings.kmeans_iterations, frames, self.generator)

    def adopt(self, frames: int) -> None:
        """Go on from codebooks that are there."""
        for learner in self.learners:
            learner.adopt(frames)

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor) -> None:
        """Move the codebooks towards latents (B, D, T) that have the codes (B, K, T)."""
        if self.settings.frozen:
            return
        for learner, (part, where) in zip(self.learners, self._parts, strict=True):
            inputs = self._inputs_of(part, latents, codes)
            learner.update(inputs, codes[:, where], self.generator, self.processes)

    def _inputs_of(self, part: nn.Module, latents: Tensor, codes: Tensor | None = None) -> Tensor:
        """The latents that this part quantizes."""
        whole = self._quantizer[0]
        if part is whole:
            return latents
        latents, rest = whole.halves(latents)
        if part is whole.semantic:
            return latents
        if not whole.subtract:
            return rest
        first = whole.semantic.encode(latents) if codes is None else codes[:, : whole.num_semantic]
        return rest - whole.semantic.decode(first)
