"""The protocol of `acoustic_lm`: one small language model and one budget for every codec.

Perplexities over different vocabularies and rates cannot be compared, but bits per second of sound
can, at equal quality of the reconstruction: a codec whose codes never change costs nothing. Sizes
and budget are defined here and equal for all codecs. The budget is seconds of sound, not tokens.
All runs use one thread on the CPU, so that the same machine reproduces the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from audiotok.lm import RQLM, LanguageModel, PatternLM, PatternLMConfig, RQLMConfig, Sampling
from audiotok.lm.learning import Budget, cost, train_model


@dataclass(frozen=True)
class Protocol:
    """All constants. A change here raises the version of the task `acoustic_lm`."""

    seeds: tuple[int, ...] = (0, 1, 2)
    dimension: int = 128
    heads: int = 4
    layers: int = 4
    budget: Budget = field(
        default_factory=lambda: Budget(
            seconds=4800.0, crop_seconds=3.0, batch_size=4, learning_rate=4e-3
        )
    )
    max_rate: float = 200.0  # Hz: codes at a higher frame rate, such as samples, are left out
    prompt: float = 2.0  # seconds of a clip that the model continues
    continuation: float = 3.0  # seconds
    sampling: Sampling = field(default_factory=lambda: Sampling(top_k=250))  # as MusicGen
    diverged: float = 1.05  # final loss relative to that of a uniform distribution


PROTOCOL = Protocol()


@dataclass(frozen=True)
class TrainedModel:
    """A trained model, and whether it diverged."""

    model: LanguageModel
    diverged: bool


@dataclass(frozen=True)
class Cost:
    """The cost of a clip: bits; correct predictions (K,) and free codes (K,)."""

    bits: float
    hits: Tensor
    codes: Tensor


def build_model(
    kind: str, sizes: Sequence[int], strides: Sequence[int], seed: int
) -> LanguageModel:
    """A new model for these codebooks: a pattern of `PatternLM`, or "rq"."""
    p = PROTOCOL
    options = {
        "codebook_sizes": tuple(sizes), "strides": tuple(strides),
        "dimension": p.dimension, "heads": p.heads, "layers": p.layers,
    }  # fmt: skip
    torch.manual_seed(seed)
    if kind == "rq":
        return RQLM(RQLMConfig(**options))
    return PatternLM(PatternLMConfig(**options, pattern=kind))


def train(
    kind: str,
    clips: Sequence[Tensor],
    *,
    sizes: Sequence[int],
    strides: Sequence[int],
    frame_rate: float,
    seed: int,
) -> TrainedModel:
    """A model trained on codes (K, T) of clips at `frame_rate` Hz."""
    model = build_model(kind, sizes, strides, seed)
    final_loss = train_model(model, clips, frame_rate=frame_rate, budget=PROTOCOL.budget, seed=seed)
    shares = [1 / stride for stride in strides]
    terms = zip(shares, sizes, strict=True)
    uniform_loss = sum(share * math.log(size) for share, size in terms) / sum(shares)
    return TrainedModel(model, not final_loss <= PROTOCOL.diverged * uniform_loss)


def costs(model: LanguageModel, channels: Tensor, frame_rate: float) -> Cost:
    """The cost of the codes (C, K, T) of a clip, in windows as long as the training crops."""
    window = PROTOCOL.budget.crop_seconds
    channel_costs = [cost(model, codes, frame_rate, window) for codes in channels]
    bits, hits, counts = zip(*channel_costs, strict=True)
    return Cost(sum(bits), sum(hits), sum(counts))


def unigram(
    clips: Sequence[Tensor],
    test_clips: Sequence[Tensor],
    sizes: Sequence[int],
    strides: Sequence[int],
) -> list[float]:
    """Bits of each of `test_clips`, (K, T), under the frequencies of the codes in `clips`, with 0.5
    added to each count (Krichevsky and Trofimov 1981)."""
    totals = [0.0] * len(test_clips)
    for k, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        train_codes = torch.cat([codes[k, ::stride] for codes in clips])
        counts = torch.bincount(train_codes, minlength=size).double() + 0.5
        bits = -(counts / counts.sum()).log2()
        for number, codes in enumerate(test_clips):
            totals[number] += float(bits[codes[k, ::stride]].sum())
    return totals


@torch.no_grad()
def prefers(model: LanguageModel, right: Tensor, wrong: Tensor) -> float:
    """1 if the codes (C, K, T) of the right sound cost less per frame than those of the wrong one,
    0 if they cost more, 0.5 if equal. Costs per frame do not favour the shorter sound; slamkit
    compares the mean too (Maimon et al. 2025, arXiv 2502.15814)."""
    device = next(model.parameters()).device
    a, b = (
        float(model.bits(codes.long().to(device)).sum()) / codes.shape[2]
        for codes in (right, wrong)
    )
    return 0.5 if a == b else float(a < b)
