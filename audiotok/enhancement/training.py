"""Trains the model of one codec on vectors of mixtures and of clean speech, and applies it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audiotok.enhancement import PROTOCOL
from audiotok.enhancement.model import Network, better_order, loss
from audiotok.errors import MetricError
from audiotok.probes.training import repeatable

Example = tuple[Tensor, Tensor]  # of the mixture (D, T), of each speaker (S, D, T)


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each dimension, (D, 1), of the clean training speech."""

    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, examples: Sequence[Example]) -> Scale:
        frames = torch.cat([clean.transpose(0, 1).flatten(1) for _, clean in examples], 1)
        mean, deviation = frames.mean(1, keepdim=True), frames.std(1, keepdim=True)
        floor = 1e-3 * deviation.mean().clamp(min=1e-6)  # for a dimension that hardly changes
        return cls(mean, deviation.clamp(min=floor))

    def scaled(self, vectors: Tensor) -> Tensor:
        return (vectors - self.mean) / self.deviation

    def unscaled(self, vectors: Tensor) -> Tensor:
        return vectors * self.deviation + self.mean


@dataclass(frozen=True)
class Trained:
    """A trained model with the scale of its vectors."""

    network: Network
    scale: Scale

    def separated(self, mixture: Tensor, clean: Tensor) -> Tensor:
        """Vectors (S, D, T) of the speakers in vectors (D, T) of a mixture, in the order of the
        clean ones (S, D, T), which decide that order alone."""
        with torch.no_grad():
            output = self.network(self.scale.scaled(mixture)[None])[0]
        return self.scale.unscaled(output[better_order(output, self.scale.scaled(clean))])


def train(examples: Sequence[Example], seed: int) -> Trained:
    """A new model after the budget of the protocol; call it on CPU tensors.

    Raises:
        MetricError: the loss is no longer finite.
    """
    p = PROTOCOL
    scale = Scale.of(examples)
    pairs = [(scale.scaled(mixture), scale.scaled(clean)) for mixture, clean in examples]
    frames = max(mixture.shape[-1] for mixture, _ in pairs)
    generator = np.random.default_rng(seed)
    with repeatable(seed):
        network = Network(pairs[0][0].shape[0], pairs[0][1].shape[0]).train()
        optimiser = torch.optim.AdamW(network.parameters(), p.learning_rate)
        for step in range(p.steps):
            chosen = generator.integers(len(pairs), size=p.batch)
            batch = [_crop(pairs[i], frames, generator) for i in chosen]
            mixtures, clean = (torch.stack(part) for part in zip(*batch, strict=True))
            error = loss(network(mixtures), clean)
            optimiser.zero_grad()
            error.backward()
            norm = torch.nn.utils.clip_grad_norm_(network.parameters(), p.clip_norm)
            if not (error.isfinite() and norm.isfinite()):
                raise MetricError(f"the model of seed {seed} diverged at step {step}")
            rise, fall = (step + 1) / (p.warm_up * p.steps), (p.steps - step) / p.steps
            for group in optimiser.param_groups:
                group["lr"] = p.learning_rate * min(rise, fall / (1 - p.warm_up), 1.0)
            optimiser.step()
    return Trained(network.eval(), scale)


def _crop(pair: Example, frames: int, generator: np.random.Generator) -> Example:
    """So many frames of an example; a shorter one is repeated."""
    length = pair[0].shape[-1]
    start = generator.integers(max(1, length - frames + 1))
    indices = torch.from_numpy(np.arange(start, start + frames) % length)
    return tuple(part[..., indices] for part in pair)
