"""A bidirectional transformer with rotary positions, as the paper's DiT without its conditions.

DiT's blocks (Peebles & Xie 2023, arXiv 2212.09748) whose shifts, scales and gates are weights
instead of functions of a condition (appendix A.1 of the paper): a LayerNorm's bias and weight, and
a gate that starts at 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.lm.transformer import frequencies, rotate, rotation_of


class Attention(nn.Module):
    """Multi-head self-attention over all frames of a clip."""

    def __init__(self, dimension: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dimension, 3 * dimension)
        self.out = nn.Linear(dimension, dimension)

    def forward(self, hidden: Tensor, rotation: Tensor, mask: Tensor | None) -> Tensor:
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(hidden).chunk(3, dim=2)
        )
        rotation = rotation.to(query.dtype)
        query, key = rotate(query, rotation), rotate(key, rotation)
        attended = F.scaled_dot_product_attention(query, key, value, mask)
        return self.out(attended.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a feed-forward network, each with pre-norm, gate and residual connection."""

    def __init__(self, dimension: int, heads: int, dropout: float):
        super().__init__()
        self.attention_norm, self.feed_norm = nn.LayerNorm(dimension), nn.LayerNorm(dimension)
        self.attention = Attention(dimension, heads)
        self.feed = nn.Sequential(
            nn.Linear(dimension, 4 * dimension), nn.GELU(), nn.Linear(4 * dimension, dimension)
        )
        self.attention_gate = nn.Parameter(torch.zeros(dimension))
        self.feed_gate = nn.Parameter(torch.zeros(dimension))
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, rotation: Tensor, mask: Tensor | None) -> Tensor:
        attended = self.attention(self.attention_norm(hidden), rotation, mask)
        hidden = hidden + self.attention_gate * self.dropout(attended)
        return hidden + self.feed_gate * self.dropout(self.feed(self.feed_norm(hidden)))


class Bidirectional(nn.Module):
    """Hidden (B, T, C) -> (B, T, C); each frame attends to all `lengths` frames of its clip."""

    def __init__(self, dimension: int, heads: int, layers: int, dropout: float):
        super().__init__()
        self.blocks = nn.ModuleList(Block(dimension, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dimension)
        self.register_buffer("frequencies", frequencies(dimension // heads), persistent=False)

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        position = torch.arange(hidden.shape[1], device=hidden.device)
        rotation = rotation_of(position, self.frequencies, hidden.dtype)
        mask = (position < lengths[:, None])[:, None, None]
        mask = None if bool(mask.all()) else mask
        for block in self.blocks:
            hidden = block(hidden, rotation, mask)
        return self.norm(hidden)
