"""A transformer with any attention mask, rotary positions and a cache.

Pre-norm blocks (RMSNorm, attention, RMSNorm, GELU) without biases, as `audiotok.lm.transformer`,
whose attention is causal only. Here the rows of a batch may differ in length and positions.
There is no dropout within attention: with it PyTorch would not use its fused kernel on a CPU.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.lm import transformer as causal
from audiotok.lm.transformer import frequencies, rotate, rotation_of


class Cache(causal.Cache):
    """A cache whose rows can end at different steps."""

    def select_rows(self, rows: Tensor) -> None:
        """Drops all rows of the batch but these, (M,) indices."""
        for layer, (keys, values) in self.layers.items():
            self.layers[layer] = keys[rows], values[rows]


class Block(nn.Module):
    """Attention and a feed-forward network, each with pre-norm and a residual connection."""

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
        query, key = rotate(query, rotation), rotate(key, rotation)
        if cache is not None:
            key, value = cache.extend(layer, key, value)
        attended = F.scaled_dot_product_attention(query, key, value, mask)
        attended = self.out(attended.transpose(1, 2).flatten(2))
        hidden = hidden + F.dropout(attended, self.dropout, self.training)
        output = self.feed_out(F.gelu(self.feed_in(self.feed_norm(hidden))))
        return hidden + F.dropout(output, self.dropout, self.training)


class Transformer(nn.Module):
    """Hidden (B, P, D) to hidden (B, P, D)."""

    def __init__(self, dimension: int, heads: int, layers: int, dropout: float = 0.0):
        super().__init__()
        if dimension % (2 * heads):
            raise ValueError(f"dimension {dimension} does not divide into {heads} heads of pairs")
        self.blocks = nn.ModuleList(Block(dimension, heads, dropout) for _ in range(layers))
        self.norm = nn.RMSNorm(dimension)
        self.register_buffer("frequencies", frequencies(dimension // heads), persistent=False)
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
            mask: (B, 1, P, Q) bool, True where a step attends to a key, the Q - P of the cache
                first; None: every step attends to all.
            cache: of the steps before `hidden`.
        """
        rotation = rotation_of(positions[:, None], self.frequencies, hidden.dtype)
        for layer, block in enumerate(self.blocks):
            hidden = block(hidden, rotation, mask, cache, layer)
        return self.norm(hidden)
