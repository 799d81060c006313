"""Training of a language model on the tokens of a corpus, in the same way for all codecs.

The budget is seconds of sound, not tokens: the models of all codecs see the same crops of the same
clips in the same order, at any frame rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audiotok.lm.base import LanguageModel


@dataclass(frozen=True)
class Budget:
    """The training budget of a model; equal for all models that are compared."""

    seconds: float = 9600.0  # of sound, over all batches
    crop_seconds: float = 4.0
    batch_size: int = 8  # crops
    learning_rate: float = 1e-3  # warms up over the first tenth, then falls to 0 by a cosine
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = 1.0

    @property
    def steps(self) -> int:
        return max(1, round(self.seconds / (self.crop_seconds * self.batch_size)))

    def rate(self, step: int) -> float:
        """Share of the learning rate at a step."""
        warm_up = max(1, self.steps // 10)
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, self.steps - warm_up)))


def train_model(
    model: LanguageModel,
    clips: Sequence[Tensor],
    *,
    frame_rate: float,
    budget: Budget,
    seed: int,
    report: Callable[[int, float], None] | None = None,
) -> float:
    """Trains on codes (K, T) of clips; returns the mean loss of the last tenth, nats per code.

    Args:
        frame_rate: of the codes, Hz.
        seed: of the crops; the model is not initialised here.
        report: called after every step with its number and loss.

    Raises:
        ValueError: there is no clip, or one has no frame.
    """
    if not clips or min(codes.shape[1] for codes in clips) < 1:
        raise ValueError("a language model needs clips of one frame or more")
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(
        model.parameters(), budget.learning_rate, budget.betas, weight_decay=budget.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, budget.rate)
    crops = _crops(
        clips, frame_rate=frame_rate, unit=math.lcm(*model.strides), budget=budget, seed=seed
    )
    losses: list[float] = []
    model.train()
    for step in range(budget.steps):
        optimizer.zero_grad(set_to_none=True)
        loss = model.loss(next(crops).to(device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), budget.clip_norm)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if report is not None:
            report(step + 1, losses[-1])
    model.eval()
    last = losses[-max(1, budget.steps // 10) :]
    return sum(last) / len(last)


def _crops(
    clips: Sequence[Tensor], *, frame_rate: float, unit: int, budget: Budget, seed: int
) -> Iterator[Tensor]:
    """Batches (B, K, T) that start at the same seconds for every codec.

    Clips are drawn with probabilities proportional to their length; the shortest clip limits the
    length of a batch.
    """
    generator = torch.Generator().manual_seed(seed)
    seconds = torch.tensor([codes.shape[1] / frame_rate for codes in clips]).round(decimals=1)
    while True:
        chosen = torch.multinomial(seconds, budget.batch_size, True, generator=generator).tolist()
        positions = torch.rand(budget.batch_size, generator=generator).tolist()
        duration = min(budget.crop_seconds, *(float(seconds[index]) for index in chosen))
        frames = max(1, round(duration * frame_rate))
        crops = []
        for index, position in zip(chosen, positions, strict=True):
            codes = clips[index]
            frames = min(frames, codes.shape[1])
            start = round(position * max(0.0, float(seconds[index]) - duration) * frame_rate)
            crops.append((codes, min(start, codes.shape[1] - frames) // unit * unit))
        yield torch.stack([codes[:, start : start + frames] for codes, start in crops])


@torch.no_grad()
def cost(
    model: LanguageModel, codes: Tensor, frame_rate: float, window_seconds: float
) -> tuple[float, Tensor, Tensor]:
    """The cost of the codes (K, T) of a clip, in consecutive windows without context between them.

    Returns:
        Bits of the clip; correct predictions (K,) and free codes (K,), per codebook.
    """
    unit = math.lcm(*model.strides)
    length = max(unit, round(window_seconds * frame_rate) // unit * unit)
    bits = 0.0
    hits, counts = torch.zeros(2, model.num_codebooks, dtype=torch.float64)
    device = next(model.parameters()).device
    for window in codes.split(length, 1):
        scored = model(window[None].to(device))
        bits += float(scored.nats.double().sum()) / math.log(2)
        hits += scored.hits[0].double().sum(1).cpu()
        counts += model.free(window.shape[1]).double().sum(1)
    return bits, hits, counts
