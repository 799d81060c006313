"""Start and training of the codebooks of a network, for every kind of quantizer."""

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

_MOVING_AVERAGE = (VectorQuantizer, ResidualVectorQuantizer, GroupedVectorQuantizer)


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


def moving_average_parts(quantizer: nn.Module) -> list[tuple[nn.Module, slice]]:
    """The parts of a quantizer that learn by moving averages, each with its slice of the codes."""
    if isinstance(quantizer, _MOVING_AVERAGE):
        return [(quantizer, slice(None))]
    if isinstance(quantizer, SplitQuantizer):
        number = quantizer.num_semantic
        parts = (quantizer.semantic, slice(number)), (quantizer.acoustic, slice(number, None))
        return [(part, slice_) for part, slice_ in parts if isinstance(part, _MOVING_AVERAGE)]
    return []


def prepare(network: nn.Module, settings: QuantizerConfig) -> None:
    """Sets quantizer dropout, errors of codes, and the gradient; raises RecipeError if the network
    does not support them."""
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
            f"quantizer.gradient {gradient} needs codewords: a "
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
    """The codebooks of a network during training; their state is part of that of a run."""

    def __init__(
        self,
        quantizer: nn.Module,
        settings: QuantizerConfig,
        seed: int,
        processes: Processes | None = None,
    ):
        super().__init__()
        self.settings, self.processes = settings, processes
        self._quantizer = [quantizer]  # in a list, so that it is not a submodule
        self._parts = moving_average_parts(quantizer)
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
        """Starts the codebooks by k-means.

        Args:
            collect: returns latents (B, D, T) with at least that many frames.
            frames: number of frames of an update, over all processes.
        """
        if not self.learners:
            return
        latents = collect(self.settings.kmeans_latents)
        for learner, (part, _) in zip(self.learners, self._parts, strict=True):
            inputs = self._inputs(part, latents)
            learner.start(inputs, self.settings.kmeans_iterations, frames, self.generator)

    def adopt(self, frames: int) -> None:
        """Continues with existing codebooks; `frames` as for `start`."""
        for learner in self.learners:
            learner.adopt(frames)

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor) -> None:
        """Moves the codebooks towards the latents (B, D, T) with the codes (B, K, T)."""
        if self.settings.frozen:
            return
        for learner, (part, slice_) in zip(self.learners, self._parts, strict=True):
            inputs = self._inputs(part, latents, codes)
            learner.update(inputs, codes[:, slice_], self.generator, self.processes)

    def _inputs(self, part: nn.Module, latents: Tensor, codes: Tensor | None = None) -> Tensor:
        """The latents that this part quantizes."""
        quantizer = self._quantizer[0]
        if part is quantizer:
            return latents
        latents, acoustic = quantizer.halves(latents)
        if part is quantizer.semantic:
            return latents
        if not quantizer.subtract:
            return acoustic
        semantic_codes = (
            quantizer.semantic.encode(latents)
            if codes is None
            else codes[:, : quantizer.num_semantic]
        )
        return acoustic - quantizer.semantic.decode(semantic_codes)
