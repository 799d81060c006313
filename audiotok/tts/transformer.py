"""A transformer whose mask says who sees whom, with rotary positions and a cache.

Pre-norm blocks (RMSNorm, attention, RMSNorm, GELU) without biases, as `audiotok.lm.transformer`,
whose attention is causal only. Here rows of a batch may have other lengths and positions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_BASE = 10_000.0  # of the rotary frequencies


class Cache:
    """Keys and values (B, H, P, D) of each layer for the steps so far."""

    def __init__(self) -> None:
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values of a layer, those given included."""
        if layer in self.layers:
            old_keys, old_values = self.layers[layer]
            keys, values = torch.cat([old_keys, keys], 2), torch.cat([old_values, values], 2)
        self.layers[layer] = keys, values
        return keys, values

    def keep(self, rows: Tensor) -> None:
        """Keeps these rows of the batch, (M,) indices."""
        for layer, (keys, values) in self.layers.items():
            self.layers[layer] = keys[rows], values[rows]


class Block(nn.Module):
    """Attention and a feed-forward network, each behind a norm and beside a shortcut."""

    def __init__(self, dimension: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.attention_norm = nn.RMSNorm(dimension)
        self.qkv = nn.Linear(dimension, 3 * dimension, bias=False)
        self.out = nn.Linear(dimension, dimension, bias=False)
        self.feed_norm = nn.RMSNorm(dimension)
        self.feed_in = nn.Linear(dimension, 4 * dimension, bias=False)
        self.feed_out = nn.Linear(4 * dimension, dimension, bias=False)

    def forward(
        self, hidden: Tensor, rotation: Tensor, mask: Tensor | None, cache: Cache | None, layer: int
    ) -> Tensor:
        batch, steps, _ = hidden.shape
        query, key, value = (
            part.view(batch, steps, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.attention_norm(hidden)).chunk(3, dim=-1)
        )
        query, key = _rotate(query, rotation), _rotate(key, rotation)
        if cache is not None:
            key, value = cache.extend(layer, key, value)
        dropout = self.dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(query, key, value, mask, dropout)
        found = self.out(found.transpose(1, 2).flatten(2))
        hidden = hidden + F.dropout(found, self.dropout, self.training)
        fed = self.feed_out(F.gelu(self.feed_in(self.feed_norm(hidden))))
        return hidden + F.dropout(fed, self.dropout, self.training)


class Transformer(nn.Module):
    """Hidden (B, P, D) to hidden (B, P, D)."""

    def __init__(self, dimension: int, heads: int, layers: int, dropout: float = 0.0):
        super().__init__()
        if dimension % (2 * heads):
            raise ValueError(f"dimension {dimension} does not divide into {heads} heads of pairs")
        self.blocks = nn.ModuleList(Block(dimension, heads, dropout) for _ in range(layers))
        self.norm = nn.RMSNorm(dimension)
        frequencies = _BASE ** -torch.linspace(0, 1, dimension // heads // 2 + 1)[:-1]
        self.register_buffer("frequencies", frequencies, persistent=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                last = name.endswith(("out.weight", "feed_out.weight"))
                nn.init.normal_(weight, std=0.02 / (2 * layers) ** 0.5 if last else 0.02)

    def forward(
        self, hidden: Tensor, positions: Tensor, mask: Tensor | None, cache: Cache | None = None
    ) -> Tensor:
        """
        Args:
            positions: (B, P), of each step in its row.
            mask: (B, 1, P, Q) bool, True where a step sees a key, the Q - P of the cache first;
                None: everyone sees all.
            cache: `hidden` are the steps after those it has seen.
        """
        angles = positions[:, None, :, None] * self.frequencies
        rotation = torch.stack([angles.cos(), angles.sin()]).to(hidden.dtype)
        for layer, block in enumerate(self.blocks):
            hidden = block(hidden, rotation, mask, cache, layer)
        return self.norm(hidden)


def there(lengths: Tensor, longest: int) -> Tensor:
    """(B, P) bool: True up to the length of each row."""
    return torch.arange(longest, device=lengths.device) < lengths[:, None]


def _rotate(vectors: Tensor, rotation: Tensor) -> Tensor:
    """Turns each pair of halves of (B, H, P, D) by the angle of its step and frequency."""
    cosine, sine = rotation
    first, second = vectors.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
