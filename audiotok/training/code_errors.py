"""Codes with errors like those of a language model, to train a decoder with.

RobusTok (Qiu et al. 2025, arXiv 2509.12474): a decoder that was trained only on codes of its
encoder is worse on generated codes. Its post-training decodes codes of which a share is generated,
and compares the sound with the original.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from audiotok.nn.quantizers.strided import repeat
from audiotok.training.settings import ErrorsConfig


class CodeErrors(nn.Module):
    """Replaces a share of the codes (B, K, T) of some clips by random ones.

    `ngram`: each is drawn from the codes that followed the same previous code in earlier clips, as
    a bigram model samples; from all earlier codes if there are none. `neighbours`: uniformly from
    the codewords nearest to its own.

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
            self.register_buffer("pairs", pairs)  # a code and the next one; -1: empty
            self.register_buffer("count", torch.zeros(len(self.strides), dtype=torch.int64))

    def forward(self, codes: Tensor) -> Tensor:
        """`with_errors`, then `learn`: errors of a batch never come from its own clips."""
        changed = self.with_errors(codes)
        self.learn(codes)
        return changed

    @torch.no_grad()
    def with_errors(self, codes: Tensor) -> Tensor:
        """Codes (B, K, T) -> the same with errors; -1 is not replaced."""
        changed = codes.clone()
        clips = torch.rand(len(codes), 1, device=codes.device) < self.settings.clips
        for k in range(codes.shape[1]):
            free = codes[:, k, :: self.strides[k]]
            mask = torch.rand(free.shape, device=codes.device) < self.settings.rate
            mask &= clips & (free >= 0)
            replaced = free.clone()
            if mask.any():
                replaced[mask] = self._draw(k, free, mask)
            changed[:, k] = repeat(replaced[:, None], self.strides[k], codes.shape[2])[:, 0]
        return changed

    @torch.no_grad()
    def learn(self, codes: Tensor) -> None:
        """Stores codes (B, K, T) for `ngram`, in place of the oldest ones."""
        if self.settings.kind != "ngram":
            return
        for k in range(codes.shape[1]):
            free = codes[:, k, :: self.strides[k]]
            pairs = torch.stack([free[:, :-1], free[:, 1:]], -1).flatten(0, 1)
            pairs = pairs[(pairs >= 0).all(1)][-self.settings.memory :]
            positions = self.count[k] + torch.arange(len(pairs), device=pairs.device)
            self.pairs[k, positions % self.settings.memory] = pairs
            self.count[k] += len(pairs)

    def _draw(self, k: int, codes: Tensor, mask: Tensor) -> Tensor:
        """New codes (N,) for the positions of codes (B, T) where `mask` is True."""
        originals = codes[mask]
        if self.settings.kind == "neighbours":
            table = getattr(self, f"nearest_{k}")
            if not table.shape[1]:
                return originals
            return table[
                originals, torch.randint(table.shape[1], originals.shape, device=originals.device)
            ]
        first, following = self.pairs[k, : min(int(self.count[k]), self.settings.memory)].unbind(1)
        if not len(first):
            return originals
        previous = torch.roll(codes, 1, 1)
        previous[:, 0] = -1
        matches = (previous[mask][:, None] == first).float()
        matches[matches.sum(1) == 0] = 1.0
        return following[torch.multinomial(matches, 1)[:, 0]]


def nearest(codewords: Tensor, count: int) -> Tensor:
    """The indices (V, n) of the n codewords nearest to each of (V, D), without itself; n is
    `count`, at most V - 1."""
    rows, count = codewords.float(), min(count, len(codewords) - 1)
    parts = []
    for start in range(0, len(rows), 1024):
        distances = torch.cdist(rows[start : start + 1024], rows)
        diagonal = torch.arange(start, start + len(distances), device=rows.device)
        distances[torch.arange(len(distances), device=rows.device), diagonal] = torch.inf
        parts.append(distances.topk(count, largest=False).indices)
    return torch.cat(parts)
