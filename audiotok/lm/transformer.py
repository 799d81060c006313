"""A causal transformer with rotary positions and a cache of keys and values.

Pre-norm blocks (RMSNorm, attention, RMSNorm, GELU) without biases; rotary embeddings of Su et al.
2021, arXiv 2104.09864. Attention is PyTorch's scaled_dot_product_attention.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_BASE = 10_000.0  # of the rotary frequencies


class Cache:
    """Keys and values of the steps so far, for one sequence of calls with growing time.

    `external` holds the caches of transformers that are not built here, see `text_body`.
    """

    def __init__(self) -> None:
        self.layers: dict[int, tuple[Tensor, Tensor]] = {}
        self.external: dict[str, Any] = {}

    @property
    def length(self) -> int:
        """Steps in the cache."""
        return self.layers[0][0].shape[2] if self.layers else 0

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values (B, H, P, D) of a layer, including the new ones."""
        if layer in self.layers:
            old_keys, old_values = self.layers[layer]
            keys, values = torch.cat([old_keys, keys], 2), torch.cat([old_values, values], 2)
        self.layers[layer] = keys, values
        return keys, values


class Attention(nn.Module):
    """Causal multi-head self-attention."""

    def __init__(self, dimension: int, heads: int, dropout: float):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(dimension, 3 * dimension, bias=False)
        self.out = nn.Linear(dimension, dimension, bias=False)

    def forward(self, hidden: Tensor, rotation: Tensor, cache: Cache | None, layer: int) -> Tensor:
        batch, steps, _ = hidden.shape
        query, key, value = (
            part.view(batch, steps, self.heads, -1).transpose(1, 2)
            for part in self.qkv(hidden).chunk(3, dim=-1)
        )
        query, key = rotate(query, rotation), rotate(key, rotation)
        past_steps = 0
        if cache is not None:
            past_steps = cache.layers[layer][0].shape[2] if layer in cache.layers else 0
            key, value = cache.extend(layer, key, value)
        mask = None
        if past_steps and steps > 1:  # causal within the new steps; all past steps are visible
            mask = torch.ones(steps, past_steps + steps, dtype=torch.bool, device=hidden.device)
            mask = mask.tril(past_steps)
        attended = F.scaled_dot_product_attention(
            query,
            key,
            value,
            mask,
            self.dropout if self.training else 0.0,
            is_causal=not past_steps,
        )
        return self.out(attended.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a feed-forward network, each with pre-norm and a residual connection."""

    def __init__(self, dimension: int, heads: int, dropout: float):
        super().__init__()
        self.attention_norm = nn.RMSNorm(dimension)
        self.attention = Attention(dimension, heads, dropout)
        self.feed_norm = nn.RMSNorm(dimension)
        self.feed = nn.Sequential(
            nn.Linear(dimension, 4 * dimension, bias=False),
            nn.GELU(),
            nn.Linear(4 * dimension, dimension, bias=False),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, rotation: Tensor, cache: Cache | None, layer: int) -> Tensor:
        attended = self.attention(self.attention_norm(hidden), rotation, cache, layer)
        hidden = hidden + self.dropout(attended)
        return hidden + self.dropout(self.feed(self.feed_norm(hidden)))


class Transformer(nn.Module):
    """Hidden (B, P, D) to hidden (B, P, D); the output of step p depends on steps up to p alone."""

    def __init__(self, dimension: int, heads: int, layers: int, dropout: float = 0.0):
        super().__init__()
        if dimension % (2 * heads):
            raise ValueError(f"dimension {dimension} does not divide into {heads} heads of pairs")
        self.blocks = nn.ModuleList(Block(dimension, heads, dropout) for _ in range(layers))
        self.norm = nn.RMSNorm(dimension)
        self.register_buffer("frequencies", frequencies(dimension // heads), persistent=False)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02)
            if name.endswith(("out.weight", "feed.2.weight")):
                nn.init.normal_(weight, std=0.02 / (2 * layers) ** 0.5)

    def forward(self, hidden: Tensor, cache: Cache | None = None) -> Tensor:
        """With a cache, `hidden` are the steps that follow those in the cache."""
        past_steps = 0 if cache is None else cache.length
        position = torch.arange(past_steps, past_steps + hidden.shape[1], device=hidden.device)
        rotation = rotation_of(position, self.frequencies, hidden.dtype)
        for layer, block in enumerate(self.blocks):
            hidden = block(hidden, rotation, cache, layer)
        return self.norm(hidden)


def frequencies(size: int) -> Tensor:
    """The frequencies of the rotary embedding for heads of `size` dimensions, (size // 2,)."""
    return _BASE ** -torch.linspace(0, 1, size // 2 + 1)[:-1]


def rotation_of(positions: Tensor, frequencies: Tensor, dtype: torch.dtype) -> Tensor:
    """Cosines and sines (2, ..., D / 2) of the angles of positions (...)."""
    angles = positions[..., None] * frequencies
    return torch.stack([angles.cos(), angles.sin()]).to(dtype)


def rotate(vectors: Tensor, rotation: Tensor) -> Tensor:
    """Rotates each pair of halves of (B, H, P, D) by the angle of its step and frequency."""
    cosine, sine = rotation
    first, second = vectors.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
