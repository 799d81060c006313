"""Vocos and WaveNeXt: features to a waveform by ConvNeXt blocks at the rate of frames (FocalCodec).

Siuzdak 2023 (Vocos), arXiv 2306.00814; Okamoto et al. 2023 (WaveNeXt), doi
10.1109/ASRU57964.2023.10389765: one linear layer in place of the inverse STFT. Modules have the
names of FocalCodec's state dict; the decoder of WavTokenizer is in `vocos.py`.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn.convolutions import LeftPaddedConv1d

KERNEL_MODES = {"Vocos": "replicate", "WaveNeXt": "constant"}  # padding on the left, if causal


class VocoderConfig(BaseModel):
    """The official fields of both; defaults are those of Vocos."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_dim: int = 1024
    num_layers: int = 8
    dim: int = 512
    ffn_dim: int = 1536
    kernel_size: int = 7
    layerscale_init: float | None = None
    hop_length: int = 320
    causal: bool = False


class VocosConfig(VocoderConfig):
    """Of Vocos; `input_channels` is an earlier name of `input_dim`, `padding` changes nothing."""

    n_fft: int = 1024
    input_channels: int | None = None
    padding: str | None = None


class WaveNeXtConfig(VocoderConfig):
    """Of WaveNeXt."""

    dim: int = 1024
    ffn_dim: int = 2048
    hop_length: int = 480


class ConvNeXtBlock(nn.Module):
    """x + γ · perceptron(norm(depthwise convolution of x))."""

    def __init__(self, config: VocoderConfig, mode: str):
        super().__init__()
        dim = config.dim
        self.dwconv = _convolution(dim, config, mode, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1, self.pwconv2 = nn.Linear(dim, config.ffn_dim), nn.Linear(config.ffn_dim, dim)
        self.gamma = nn.Parameter(torch.ones(dim) / config.num_layers)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return hidden + self.frames(self.dwconv(hidden))

    def frames(self, hidden: Tensor) -> Tensor:
        """What follows the convolution."""
        return (self.gamma * self.pwconv2(F.gelu(self.pwconv1(self.norm(hidden.mT))))).mT


def _convolution(channels: int, config: VocoderConfig, mode: str, groups: int = 1) -> nn.Conv1d:
    return LeftPaddedConv1d(
        channels,
        config.dim,
        config.kernel_size,
        groups=groups,
        causal=config.causal,
        padding="same",
        mode=mode,
    )


class Backbone(nn.Module):
    """A convolution and ConvNeXt blocks between two norms."""

    def __init__(self, channels: int, config: VocoderConfig, mode: str):
        super().__init__()
        self.embedding = _convolution(channels, config, mode)
        self.input_norm = nn.LayerNorm(config.dim, eps=1e-6)
        self.layers = nn.ModuleList(ConvNeXtBlock(config, mode) for _ in range(config.num_layers))
        self.output_norm = nn.LayerNorm(config.dim, eps=1e-6)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T), without the norm at the end."""
        hidden = self.start(self.embedding(features))
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden

    def start(self, hidden: Tensor) -> Tensor:
        """What follows the first convolution."""
        return self.input_norm(hidden.mT).mT


class Vocoder(nn.Module):
    """Features (B, C, T) to a waveform (B, 1, T * hop_length)."""

    def __init__(self, config: VocosConfig | WaveNeXtConfig):
        super().__init__()
        spectral = isinstance(config, VocosConfig)
        channels = (spectral and config.input_channels) or config.input_dim
        mode = KERNEL_MODES["Vocos" if spectral else "WaveNeXt"]
        self.backbone = Backbone(channels, config, mode)
        self.head = SpectralHead(config) if spectral else LinearHead(config)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, T) -> (B, 1, T * hop_length)."""
        return self.finish(self.backbone(features))

    def finish(self, hidden: Tensor) -> Tensor:
        """What follows the blocks; if causal, each frame alone decides its samples."""
        return self.head(self.backbone.output_norm(hidden.mT))[:, None]


class LinearHead(nn.Module):
    """Each frame to its samples."""

    def __init__(self, config: WaveNeXtConfig):
        super().__init__()
        self.proj = nn.Linear(config.dim, config.hop_length)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, C) -> (B, T * hop_length) within [-1, 1]."""
        return self.proj(frames).flatten(1).clamp(-1.0, 1.0)


class SpectralHead(nn.Module):
    """Magnitudes and phases of each frame, and an inverse STFT.

    If causal, a frame gives the last samples of its window as they are; else windows overlap.
    """

    def __init__(self, config: VocosConfig):
        super().__init__()
        self.size, self.hop, self.causal = config.n_fft, config.hop_length, config.causal
        self.proj = nn.Linear(config.dim, self.size + 2)
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, T, C) -> (B, T * hop_length)."""
        if not frames.shape[1]:  # a piece without frames: some FFTs refuse it
            return frames.new_zeros(len(frames), 0)
        magnitude, phase = self.proj(frames).float().chunk(2, dim=-1)
        spectrum = torch.polar(magnitude.exp().clamp(max=100.0), phase)
        pieces = torch.fft.irfft(spectrum, self.size)
        if self.causal:
            return pieces[..., -self.hop :].flatten(1)
        envelope = self.window.square().expand(1, frames.shape[1], -1)
        return self._overlapped(pieces * self.window) / self._overlapped(envelope)

    def _overlapped(self, pieces: Tensor) -> Tensor:
        """(B, T, n_fft) -> (B, T * hop_length), cut by (n_fft - hop) / 2 at each end."""
        length = (pieces.shape[1] - 1) * self.hop + self.size
        kernel, stride, cut = (1, self.size), (1, self.hop), (self.size - self.hop) // 2
        return F.fold(pieces.mT, (1, length), kernel, stride=stride)[:, 0, 0, cut : length - cut]
