"""The encoder of FocalCodec: the first layers of WavLM, also in a causal version.

Chen et al. 2022 (WavLM), arXiv 2110.13900, section 3; causal in Della Libera et al. 2025
(FocalCodec-Stream), arXiv 2509.16195, section 2. Modules have the names of the official state dict.
"""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn.convolutions import LeftPaddedConv1d

Past = list[tuple[Tensor, Tensor]]  # keys and values of each layer (B, heads, frames, channels)


class WavLMConfig(BaseModel):
    """The official fields and defaults; `max_cached_steps` and what follows it change nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden_dims: tuple[int, ...] = (512,) * 7
    kernel_sizes: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    num_layers: int = 6
    dim: int = 1024
    ffn_dim: int = 4096
    num_heads: int = 16
    num_buckets: int = 320
    max_distance: int = 800
    conv_pos: int = 128
    conv_pos_groups: int = 16
    causal: bool = False
    window_size: int = 512  # frames that attention sees, if causal
    lookahead_size: int = 3  # frames, if causal: attention sees chunks of one more as a whole
    max_cached_steps: int = 2048
    dropout: float = 0.0
    use_flex_attention: bool = False


class ConvBlock(nn.Module):
    """A convolution, a norm of each frame and a GELU."""

    def __init__(self, in_channels: int, channels: int, kernel: int, stride: int, causal: bool):
        super().__init__()
        self.conv = LeftPaddedConv1d(
            in_channels, channels, kernel, stride, bias=False, causal=causal
        )
        self.norm = nn.LayerNorm(channels)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, L) -> (B, C', T)."""
        return self.frames(self.conv(hidden))

    def frames(self, hidden: Tensor) -> Tensor:
        """What follows the convolution."""
        return F.gelu(self.norm(hidden.mT)).mT


class FeatureExtractor(nn.Module):
    """Waveform to features by strided convolutions."""

    def __init__(self, config: WavLMConfig):
        super().__init__()
        self.layers = nn.ModuleList()
        channels = 1
        sizes = zip(config.hidden_dims, config.kernel_sizes, config.strides, strict=True)
        for width, kernel, stride in sizes:
            self.layers.append(ConvBlock(channels, width, kernel, stride, config.causal))
            channels = width

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, 1, L) -> (B, C, T)."""
        for layer in self.layers:
            waveform = layer(waveform)
        return waveform


class PositionalEmbedding(nn.Module):
    """x + GELU(convolution of x over many frames)."""

    def __init__(self, config: WavLMConfig):
        super().__init__()
        self.conv = LeftPaddedConv1d(
            config.dim,
            config.dim,
            config.conv_pos,
            groups=config.conv_pos_groups,
            causal=config.causal,
            padding=config.conv_pos // 2,
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return hidden + F.gelu(self.conv(hidden)[..., : hidden.shape[-1]])


class Attention(nn.Module):
    """Attention with a bias by relative position, which a gate of the query scales."""

    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.head = dim // num_heads  # channels
        self.qkv_proj, self.out_proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.gru_rel_pos_linear = nn.Linear(self.head, 8)
        self.gru_rel_pos_const = nn.Parameter(torch.ones(1, num_heads, 1, 1))

    def forward(
        self, hidden: Tensor, bias: Tensor, mask: Tensor | None, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Frames (B, T, C) -> (B, T, C), and all keys and values.

        Args:
            bias: (heads, T, S) for S keys, the past ones first.
            mask: (T, S), 0 or minus infinity.
            past: keys and values of earlier frames.
        """
        parts = self.qkv_proj(hidden).unflatten(2, (3, -1, self.head)).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        if past is not None:
            key, value = (torch.cat(pair, 2) for pair in zip(past, (key, value), strict=True))
        heads = hidden.unflatten(2, (-1, self.head)).transpose(1, 2)
        gates = self.gru_rel_pos_linear(heads).unflatten(-1, (2, 4)).sum(-1).sigmoid()
        first, second = gates.split(1, dim=-1)
        bias = (first * (second * self.gru_rel_pos_const - 1.0) + 2.0) * bias
        bias = bias if mask is None else bias + mask
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype))
        return self.out_proj(attended.transpose(1, 2).flatten(2)), (key, value)


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, ffn_dim: int):
        super().__init__()
        self.in_proj, self.out_proj = nn.Linear(dim, ffn_dim), nn.Linear(ffn_dim, dim)

    def forward(self, frames: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        return self.out_proj(F.gelu(self.in_proj(frames)))


class TransformerLayer(nn.Module):
    """Attention and two linear layers, each on normed frames and added to them."""

    def __init__(self, config: WavLMConfig):
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.dim)
        self.attention = Attention(config.dim, config.num_heads)
        self.feed_forward_norm = nn.LayerNorm(config.dim)
        self.feed_forward = FeedForward(config.dim, config.ffn_dim)

    def forward(
        self, hidden: Tensor, *context: Tensor | tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As `Attention`."""
        attended, past = self.attention(self.attention_norm(hidden), *context)
        hidden = hidden + attended
        return hidden + self.feed_forward(self.feed_forward_norm(hidden)), past


class TransformerEncoder(nn.Module):
    """Features to features that see other frames; if causal, those of their chunk and the past."""

    def __init__(self, config: WavLMConfig):
        super().__init__()
        self.config = config
        self.chunk = 1 + config.lookahead_size if config.causal else 1
        self.positional_embedding = PositionalEmbedding(config)
        self.relative_embedding = nn.Embedding(config.num_buckets, config.num_heads)
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_layers))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return self.attend(self.positional_embedding(hidden), None)[0]

    def attend(self, hidden: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """The layers, for frames (B, C, T) that start with a chunk; and what the next ones need."""
        frames, context, kept = hidden.mT, past or [None] * len(self.layers), []
        stored = past[0][0].shape[2] if past else 0
        bias, mask = self._bias(stored, frames.shape[1], frames.device)
        for layer, before in zip(self.layers, context, strict=True):
            frames, both = layer(frames, bias, mask, before)
            kept.append(tuple(each[:, :, 1 - self.config.window_size :] for each in both))
        return frames.mT, kept

    def _bias(self, stored: int, length: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
        """Bias (heads, T, S) and mask (T, S) of `length` queries, S = `stored` + `length`."""
        query = torch.arange(length, device=device)[:, None]
        key = torch.arange(-stored, length, device=device)
        bias = self.relative_embedding(self._buckets(key - query)).permute(2, 0, 1)
        if not self.config.causal:
            return bias, None
        end = ((query // self.chunk + 1) * self.chunk).clamp(max=length)
        hidden = (key >= end) | (key < end - self.config.window_size)
        return bias, torch.zeros(hidden.shape, device=device).masked_fill(hidden, -math.inf)

    def _buckets(self, distance: Tensor) -> Tensor:
        """Numbers of the embedding: exact for small distances, logarithmic for larger ones."""
        half = self.config.num_buckets // 2
        exact = half // 2
        size = distance.abs()
        scale = math.log(self.config.max_distance / exact)
        large = (size.float() / exact).log() / scale * (half - exact) + exact
        large = large.clamp(max=half - 1).long()
        return torch.where(size < exact, size, large) + half * (distance > 0)


class WavLM(nn.Module):
    """Waveform to features; there is no norm at the end.

    Frames are floor((L - 400) / 320) + 1 of L samples, if causal ceil(L / 320).
    """

    def __init__(self, config: WavLMConfig):
        super().__init__()
        self.feature_extractor = FeatureExtractor(config)
        self.norm = nn.LayerNorm(config.hidden_dims[-1])
        self.feature_proj = nn.Linear(config.hidden_dims[-1], config.dim)
        self.encoder = TransformerEncoder(config)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, 1, L) -> (B, C, T)."""
        return self.encoder(self.project(self.feature_extractor(waveform)))

    def project(self, features: Tensor) -> Tensor:
        """Features of the convolutions (B, C, T) -> (B, C', T)."""
        return self.feature_proj(self.norm(features.mT)).mT
