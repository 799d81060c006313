"""The decoder of WavTokenizer: attention and ConvNeXt blocks at frame rate, then an inverse STFT.

Vocos (Siuzdak 2023, arXiv 2306.00814) with the 'pos_net' of WavTokenizer (Ji et al. 2024,
arXiv 2408.16532, section 3.3) before the ConvNeXt blocks. GroupNorm and attention run over the
whole sequence, so a piece decoded alone differs from the same piece in a longer sequence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_GROUPS = 32
_MAX_MAGNITUDE = 100.0


class ResBlock(nn.Module):
    """x + conv3(dropout(swish(norm(conv3(swish(norm(x)))))))."""

    def __init__(self, channels: int, dropout: float):
        super().__init__()
        self.norm1 = nn.GroupNorm(_GROUPS, channels, eps=1e-6)
        self.conv1 = nn.Conv1d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(_GROUPS, channels, eps=1e-6)
        self.conv2 = nn.Conv1d(channels, channels, 3, padding=1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        residual = self.conv1(F.silu(self.norm1(hidden)))
        residual = self.conv2(self.dropout(F.silu(self.norm2(residual))))
        return hidden + residual


class Attention(nn.Module):
    """x + proj(attention(norm(x))): one head over all frames, no mask, no positions."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, channels, eps=1e-6)
        self.q = nn.Conv1d(channels, channels, 1)
        self.k = nn.Conv1d(channels, channels, 1)
        self.v = nn.Conv1d(channels, channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        normed = self.norm(hidden)
        query, key, value = (
            layer(normed).transpose(1, 2)[:, None] for layer in (self.q, self.k, self.v)
        )
        attended = F.scaled_dot_product_attention(query, key, value)[:, 0]
        return hidden + self.proj_out(attended.transpose(1, 2))


class AdaLayerNorm(nn.Module):
    """LayerNorm with scale and shift for each condition; codecs always use condition 0."""

    def __init__(self, channels: int, num_conditions: int):
        super().__init__()
        self.channels = channels
        self.scale = nn.Embedding(num_conditions, channels)
        self.shift = nn.Embedding(num_conditions, channels)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        normed = F.layer_norm(hidden, (self.channels,), eps=1e-6)
        return normed * self.scale.weight[0] + self.shift.weight[0]


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, norm and a two-layer perceptron, scaled and added to the input."""

    def __init__(self, channels: int, hidden_channels: int, num_conditions: int, gamma: float):
        super().__init__()
        self.dwconv = nn.Conv1d(channels, channels, 7, padding=3, groups=channels)
        self.norm = AdaLayerNorm(channels, num_conditions)
        self.pwconv1 = nn.Linear(channels, hidden_channels)
        self.pwconv2 = nn.Linear(hidden_channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), gamma))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        residual = self.norm(self.dwconv(hidden).transpose(1, 2))
        residual = self.gamma * self.pwconv2(F.gelu(self.pwconv1(residual)))
        return hidden + residual.transpose(1, 2)


class VocosBackbone(nn.Module):
    """Quantized latents to hidden frames.

    Args:
        input_channels: channels of the quantized latents.
        dim: width; a multiple of 32 (GroupNorm's groups).
        intermediate_dim: width inside the ConvNeXt blocks.
        num_layers: ConvNeXt blocks.
        num_conditions: rows of every AdaLayerNorm; the official checkpoints have 4.
        dropout: in the ResBlocks, while training.
    """

    def __init__(
        self,
        input_channels: int,
        dim: int,
        intermediate_dim: int,
        num_layers: int,
        num_conditions: int = 4,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.embed = nn.Conv1d(input_channels, dim, 7, padding=3)
        self.norm = AdaLayerNorm(dim, num_conditions)
        self.convnext = nn.ModuleList(
            ConvNeXtBlock(dim, intermediate_dim, num_conditions, gamma=1 / num_layers)
            for _ in range(num_layers)
        )
        self.final_layer_norm = nn.LayerNorm(dim, eps=1e-6)
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d | nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.pos_net = (
            nn.Sequential(  # keeps PyTorch's default initialisation, as the official code
                ResBlock(dim, dropout),
                ResBlock(dim, dropout),
                Attention(dim),
                ResBlock(dim, dropout),
                ResBlock(dim, dropout),
                nn.GroupNorm(_GROUPS, dim, eps=1e-6),
            )
        )

    def forward(self, quantized: Tensor) -> Tensor:
        """(B, input_channels, T) -> (B, T, dim)."""
        hidden = self.pos_net(self.embed(quantized))
        hidden = self.norm(hidden.transpose(1, 2)).transpose(1, 2)
        for block in self.convnext:
            hidden = block(hidden)
        return self.final_layer_norm(hidden.transpose(1, 2))


class ISTFTHead(nn.Module):
    """Hidden frames to a waveform by predicted magnitudes and phases; windows of 4 hops."""

    def __init__(self, dim: int, hop_length: int):
        super().__init__()
        self.hop_length = hop_length
        self.n_fft = 4 * hop_length
        self.linear = nn.Linear(dim, self.n_fft + 2)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, dim) -> waveform (B, 1, T * hop_length), not limited to [-1, 1]."""
        log_magnitude, phase = self.linear(hidden).float().chunk(2, dim=-1)
        magnitude = log_magnitude.exp().clamp(max=_MAX_MAGNITUDE)
        frames = _irfft(magnitude * phase.cos(), magnitude * phase.sin(), self.n_fft) * self.window
        envelope = self.window.square().expand(1, hidden.shape[1], -1)
        return (self._overlap_add(frames) / self._overlap_add(envelope))[:, None]

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """Frames (B, T, n_fft) -> (B, T * hop_length), trimmed by (n_fft - hop) / 2 at each end."""
        batch, length, _ = frames.shape
        parts = frames.view(batch, length, 4, -1).unbind(dim=2)
        output = sum(F.pad(part, (0, 0, shift, 3 - shift)) for shift, part in enumerate(parts))
        trim = 3 * self.hop_length // 2
        return output.reshape(batch, -1)[:, trim : trim + length * self.hop_length]


def _irfft(real: Tensor, imaginary: Tensor, size: int) -> Tensor:
    """Real inverse DFT of bins (..., size / 2 + 1) -> (..., size); for ONNX as two products with
    matrices that the graph computes, because its runtimes have no fast DFT of these sizes."""
    if not torch.jit.is_tracing():
        return torch.fft.irfft(torch.complex(real, imaginary), size)
    bins = (real[0, 0] * 0 + 1).cumsum(0)[:, None].long() - 1  # computed: a constant is stored
    samples = torch.arange(size)
    angles = (bins * samples % size).float() * (2 * torch.pi / size)
    weights = torch.where((bins == 0) | (bins == size // 2), 1 / size, 2 / size)
    return real @ (weights * angles.cos()) - imaginary @ (weights * angles.sin())
