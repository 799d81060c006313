"""One fixed way to teach a language model the tokens of a corpus, so that codecs compare.

The budget is seconds of sound seen, not tokens: every codec's model sees the same crops of the same
clips, in the same order, whatever its rate.
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
    """What a model is taught with; equal for all that are compared."""

    seconds: float = 9600.0  # of sound seen
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
        warm = max(1, self.steps // 10)
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))


def learn(
    model: LanguageModel,
    clips: Sequence[Tensor],
    *,
    frame_rate: float,
    budget: Budget,
    seed: int,
    report: Callable[[int, float], None] | None = None,
) -> float:
    """Teaches the model codes (K, T) of clips; the mean loss of the last tenth, nats per code.

    Args:
        frame_rate: of the codes, Hz.
        seed: of the crops; the model is as it comes.
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

    Clips are drawn by their length; a batch is as long as its shortest clip allows.
    """
    generator = torch.Generator().manual_seed(seed)
    seconds = torch.tensor([codes.shape[1] / frame_rate for codes in clips]).round(decimals=1)
    while True:
        chosen = torch.multinomial(seconds, budget.batch_size, True, generator=generator).tolist()
        places = torch.rand(budget.batch_size, generator=generator).tolist()
        lasts = min(budget.crop_seconds, *(float(seconds[index]) for index in chosen))
        frames = max(1, round(lasts * frame_rate))
        crops = []
        for index, place in zip(chosen, places, strict=True):
            codes = clips[index]
            frames = min(frames, codes.shape[1])
            start = round(place * max(0.0, float(seconds[index]) - lasts) * frame_rate)
            crops.append((codes, min(start, codes.shape[1] - frames) // unit * unit))
        yield torch.stack([codes[:, start : start + frames] for codes, start in crops])


@torch.no_grad()
def cost(
    model: LanguageModel, codes: Tensor, frame_rate: float, window_seconds: float
) -> tuple[float, Tensor, Tensor]:
    """What a clip's codes (K, T) cost in consecutive windows, none of which sees the one before.

    Returns:
        Bits of the clip; hits (K,) and free codes (K,), for accuracies of each codebook.
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
