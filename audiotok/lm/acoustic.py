"""How well a small language model learns tokens: one model, one budget, for every codec.

Perplexities over different vocabularies and rates do not compare, bits per second of sound do; at
equal reconstruction only, for a codec whose code never changes costs nothing. Sizes and budget are
the same for all codecs and stand here. The budget is seconds of sound, not tokens. All runs
are on the CPU, in one thread, so that the same machine gives the same numbers again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from audiotok.lm import RQLM, LanguageModel, PatternLM, PatternLMConfig, RQLMConfig, Sampling
from audiotok.lm.learning import Budget, cost, learn


@dataclass(frozen=True)
class Protocol:
    """All that is fixed. A change here raises the version of the task `acoustic_lm`."""

    seeds: tuple[int, ...] = (0, 1, 2)
    dimension: int = 128
    heads: int = 4
    layers: int = 4
    budget: Budget = field(
        default_factory=lambda: Budget(
            seconds=4800.0, crop_seconds=3.0, batch_size=4, learning_rate=4e-3
        )
    )
    most_rate: float = 200.0  # Hz: faster tokens, such as samples, are left out
    prompt: float = 2.0  # seconds of a clip that the model goes on from
    continuation: float = 3.0  # seconds
    sampling: Sampling = field(default_factory=lambda: Sampling(top_k=250))  # as MusicGen
    diverged: float = 1.05  # times the loss of even odds, at the end


PROTOCOL = Protocol()


@dataclass(frozen=True)
class Taught:
    """A model after its budget, and whether it diverged."""

    model: LanguageModel
    diverged: bool


@dataclass(frozen=True)
class Cost:
    """What a clip costs: bits in all; hits (K,) and free codes (K,)."""

    bits: float
    hits: Tensor
    codes: Tensor


def make(kind: str, sizes: Sequence[int], strides: Sequence[int], seed: int) -> LanguageModel:
    """A new model of the protocol: a pattern of one transformer, or "rq", for these codebooks."""
    p = PROTOCOL
    common = {
        "codebook_sizes": tuple(sizes), "strides": tuple(strides),
        "dimension": p.dimension, "heads": p.heads, "layers": p.layers,
    }  # fmt: skip
    torch.manual_seed(seed)
    if kind == "rq":
        return RQLM(RQLMConfig(**common))
    return PatternLM(PatternLMConfig(**common, pattern=kind))


def teach(
    kind: str,
    clips: Sequence[Tensor],
    *,
    sizes: Sequence[int],
    strides: Sequence[int],
    frame_rate: float,
    seed: int,
) -> Taught:
    """A model of these codes (K, T) of clips at `frame_rate` Hz."""
    model = make(kind, sizes, strides, seed)
    last = learn(model, clips, frame_rate=frame_rate, budget=PROTOCOL.budget, seed=seed)
    shares = [1 / stride for stride in strides]
    each = zip(shares, sizes, strict=True)
    even = sum(share * math.log(size) for share, size in each) / sum(shares)
    return Taught(model, not last <= PROTOCOL.diverged * even)


def costs(model: LanguageModel, channels: Tensor, frame_rate: float) -> Cost:
    """Of the codes (C, K, T) of a clip, in windows as long as the crops that the model learnt."""
    window = PROTOCOL.budget.crop_seconds
    each = [cost(model, codes, frame_rate, window) for codes in channels]
    bits, hits, counts = zip(*each, strict=True)
    return Cost(sum(bits), sum(hits), sum(counts))


def unigram(
    clips: Sequence[Tensor], tested: Sequence[Tensor], sizes: Sequence[int], strides: Sequence[int]
) -> list[float]:
    """Bits of each of the clips tested, (K, T), by how often each code occurs in `clips`, half a
    time more than it does (Krichevsky and Trofimov 1981)."""
    found = [0.0] * len(tested)
    for k, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        seen = torch.cat([codes[k, ::stride] for codes in clips])
        counts = torch.bincount(seen, minlength=size).double() + 0.5
        bits = -(counts / counts.sum()).log2()
        for number, codes in enumerate(tested):
            found[number] += float(bits[codes[k, ::stride]].sum())
    return found


@torch.no_grad()
def prefers(model: LanguageModel, right: Tensor, wrong: Tensor) -> float:
    """1 where the codes (C, K, T) of the right sound cost less per frame than those of the wrong
    one, 0 where more, 0.5 where both cost the same. So no sound wins by being shorter; the mean is
    also what slamkit compares (Maimon et al. 2025, arXiv 2502.15814)."""
    device = next(model.parameters()).device
    a, b = (
        float(model.bits(codes.long().to(device)).sum()) / codes.shape[2]
        for codes in (right, wrong)
    )
    return 0.5 if a == b else float(a < b)
