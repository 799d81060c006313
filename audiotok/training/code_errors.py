"""Codes with errors as a language model makes them, for a decoder to learn from.

RobusTok (Qiu et al. 2025, arXiv 2509.12474): a decoder that has only seen the codes of its encoder
is worse on codes that were generated. Its post-training decodes codes of which a share is
generated, against the original.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from audiotok.nn.quantizers.strided import repeat
from audiotok.training.settings import ErrorsConfig


class CodeErrors(nn.Module):
    """Draws a share of the codes (B, K, T) of some clips again.

    `ngram`: each from the codes that followed the same code in clips seen before, as a bigram model
    would sample, from all codes seen where there are none. `neighbours`: uniformly from the
    codewords nearest to its own.

    Args:
        strides: frames per code of each codebook.
        codewords: the vectors (V, D) of each codebook; only `neighbours` needs them.
    """

    def __init__(
        self,
        settings: ErrorsConfig,
        strides: Sequence[int],
        codewords: Sequence[Tensor] | None = None,
    ):
        super().__init__()
        self.settings, self.strides = settings, tuple(map(int, strides))
        if settings.kind == "neighbours":
            for k, vectors in enumerate(codewords):
                table = nearest(vectors, settings.neighbours)
                self.register_buffer(f"nearest_{k}", table, persistent=False)
        else:
            pairs = torch.full((len(self.strides), settings.memory, 2), -1)
            self.register_buffer("pairs", pairs)  # a code and the one after it; -1: none yet
            self.register_buffer("count", torch.zeros(len(self.strides), dtype=torch.int64))

    def forward(self, codes: Tensor) -> Tensor:
        """`drawn`, then `learn`: errors of a batch never come from its own clips."""
        changed = self.drawn(codes)
        self.learn(codes)
        return changed

    @torch.no_grad()
    def drawn(self, codes: Tensor) -> Tensor:
        """Codes (B, K, T) -> the same with errors; a code -1 stays."""
        changed = codes.clone()
        clips = torch.rand(len(codes), 1, device=codes.device) < self.settings.clips
        for k in range(codes.shape[1]):
            free = codes[:, k, :: self.strides[k]]
            wrong = torch.rand(free.shape, device=codes.device) < self.settings.rate
            wrong &= clips & (free >= 0)
            drawn = free.clone()
            if wrong.any():
                drawn[wrong] = self._draw(k, free, wrong)
            changed[:, k] = repeat(drawn[:, None], self.strides[k], codes.shape[2])[:, 0]
        return changed

    @torch.no_grad()
    def learn(self, codes: Tensor) -> None:
        """Keeps codes (B, K, T) for `ngram` to draw from; the oldest give way."""
        if self.settings.kind != "ngram":
            return
        for k in range(codes.shape[1]):
            free = codes[:, k, :: self.strides[k]]
            pairs = torch.stack([free[:, :-1], free[:, 1:]], -1).flatten(0, 1)
            pairs = pairs[(pairs >= 0).all(1)][-self.settings.memory :]
            places = self.count[k] + torch.arange(len(pairs), device=pairs.device)
            self.pairs[k, places % self.settings.memory] = pairs
            self.count[k] += len(pairs)

    def _draw(self, k: int, codes: Tensor, wrong: Tensor) -> Tensor:
        """New codes (N,) at the marked places of codes (B, T)."""
        old = codes[wrong]
        if self.settings.kind == "neighbours":
            table = getattr(self, f"nearest_{k}")
            if not table.shape[1]:
                return old
            return table[old, torch.randint(table.shape[1], old.shape, device=old.device)]
        first, then = self.pairs[k, : min(int(self.count[k]), self.settings.memory)].unbind(1)
        if not len(first):
            return old
        before = torch.roll(codes, 1, 1)
        before[:, 0] = -1
        fits = (before[wrong][:, None] == first).float()
        fits[fits.sum(1) == 0] = 1.0
        return then[torch.multinomial(fits, 1)[:, 0]]


def nearest(codewords: Tensor, count: int) -> Tensor:
    """For each of V codewords (V, D) the numbers (V, n) of the nearest others, n = count or V - 1
    if that is smaller."""
    rows, count = codewords.float(), min(count, len(codewords) - 1)
    parts = []
    for start in range(0, len(rows), 1024):
        distances = torch.cdist(rows[start : start + 1024], rows)
        own = torch.arange(start, start + len(distances), device=rows.device)
        distances[torch.arange(len(distances), device=rows.device), own] = torch.inf
        parts.append(distances.topk(count, largest=False).indices)
    return torch.cat(parts)
