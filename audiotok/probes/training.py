"""Training of one head for one seed, and its predictions for test clips."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from audiotok.probes import PROTOCOL
from audiotok.probes.features import Inputs

TEST_BATCH = 8  # clips; whole ones

Objective = Callable[[torch.Tensor, torch.Tensor, Sequence[int]], torch.Tensor]
"""(logits, lengths of clips in frames of the head, indices of clips) -> mean loss."""


@dataclass(frozen=True)
class Trained:
    """A trained head, and whether it diverged."""

    head: nn.Module
    diverged: bool


@contextlib.contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """One thread and a separate random state, so that results are reproducible to the bit."""
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)


def train(
    make: Callable[[], nn.Module],
    objective: Objective,
    inputs: Inputs,
    clips: Sequence[int],
    *,
    seed: int,
    crop: float | None = None,
) -> Trained:
    """A new head trained on `clips` within the budget of the protocol, see `audiotok.probes`."""
    p = PROTOCOL
    seconds = np.array([inputs.seconds[index] for index in clips])
    size = _batch_size(np.minimum(seconds, crop).mean() if crop else seconds.mean())
    steps = min(max(p.epochs * len(clips) // size, p.min_steps), p.max_steps)
    clips = [index for index in clips if inputs.clips[index] is not None]
    head = make().train()
    optimisers = _optimisers(head)
    dense = [tensor for name, tensor in head.named_parameters() if "tables" not in name]
    final_losses: list[tuple[float, float]] = []  # of the head and of uniform predictions
    for step, (chosen, starts) in zip(range(steps), _order(clips, size, seed), strict=False):
        frames, lengths = inputs.batch(chosen, starts, crop)
        head_lengths = lengths * inputs.repeat
        logits = head(frames, lengths)
        loss = objective(logits, head_lengths, chosen)
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(dense, p.clip_norm)
        if not (loss.isfinite() and norm.isfinite()):
            return Trained(head.eval(), True)
        rate = min((step + 1) / (p.warm_up * steps), (steps - step) / ((1 - p.warm_up) * steps))
        for optimiser in optimisers:
            for group in optimiser.param_groups:
                group["lr"] = p.learning_rate * rate
            optimiser.step()
        if step >= 0.9 * steps:
            uniform = objective(torch.zeros_like(logits), head_lengths, chosen)
            final_losses.append((loss.item(), uniform.item()))
    last, uniform = np.mean(final_losses, axis=0)
    return Trained(head.eval(), bool(last > p.diverged * uniform))


def apply(
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    inputs: Inputs,
    clips: Sequence[int],
) -> Iterator[tuple[int, torch.Tensor]]:
    """(index, output of `predict(frames, lengths)`) of all whole clips that did not fail."""
    usable = [index for index in clips if inputs.clips[index] is not None]
    usable.sort(key=lambda index: len(inputs.clips[index]))
    with torch.no_grad():
        for start in range(0, len(usable), TEST_BATCH):
            chosen = usable[start : start + TEST_BATCH]
            frames, lengths = inputs.batch(chosen)
            yield from zip(chosen, predict(frames, lengths), strict=True)


def _batch_size(mean_seconds: float) -> int:
    """Clips in a batch."""
    return int(np.clip(PROTOCOL.batch_seconds / mean_seconds, 4, PROTOCOL.batch_clips))


def _optimisers(head: nn.Module) -> list[torch.optim.Optimizer]:
    """Adam, and SparseAdam for the tables, which updates only the codes in the batch."""
    named = dict(head.named_parameters())
    tables = [tensor for name, tensor in named.items() if "tables" in name]
    dense = [tensor for name, tensor in named.items() if "tables" not in name]
    optimisers: list[torch.optim.Optimizer] = [torch.optim.Adam(dense)]
    return [*optimisers, torch.optim.SparseAdam(tables)] if tables else optimisers


def _order(clips: Sequence[int], size: int, seed: int) -> Iterator[tuple[list[int], np.ndarray]]:
    """Infinite batches with the relative starts of their crops; each epoch has all clips once."""
    generator = np.random.default_rng(seed)
    pending: list[int] = []
    while True:
        while len(pending) < size:
            pending += generator.permutation(clips).tolist()
        yield pending[:size], generator.random(size)
        pending = pending[size:]
