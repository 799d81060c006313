"""Focal modulation: the networks of FocalCodec between features and its codes.

Yang et al. 2022, arXiv 2203.11926, section 3; as a compressor of speech in Della Libera et al. 2025
(FocalCodec), arXiv 2502.04465, section 3.2; causal in arXiv 2509.16195. Modules have the names of
the official state dict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn.convolutions import LeftPaddedConv1d
from audiotok.nn.wavlm import FeedForward


class FocalConfig(BaseModel):
    """Official fields and defaults of both sides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input_dim: int = 1024
    output_dim: int = 12
    hidden_dims: tuple[int, ...] = (1024, 1024, 1024)
    focal_window: int = 14  # kernel of the first level
    focal_level: int = 2
    focal_factor: int = 4  # by which kernels grow from level to level
    dropout: float = 0.0
    use_post_norm: bool = False
    use_layerscale: bool = False
    layerscale_init: float = 1e-4
    tanhscale_init: float = 0.5
    normalize_modulator: bool = False
    causal: bool = False
    window_size: int = 512  # frames, kernel of the last level if causal


class CompressorConfig(FocalConfig):
    """Of the side from features to latents."""

    downscale_factors: tuple[int, ...] = (1, 1, 1)

    @property
    def scale(self) -> int:
        """Frames of features in a frame of latents."""
        return math.prod(self.downscale_factors)


class DecompressorConfig(FocalConfig):
    """Of the side from codewords to features."""

    input_dim: int = 12
    output_dim: int = 1024
    upscale_factors: tuple[int, ...] = (1, 1, 1)
    last_window_size: int = 512
    lookahead_size: int = 3  # frames, if causal: chunks of one more are refined as a whole


class DynamicTanh(nn.Module):
    """tanh(αx) instead of a norm, as in Zhu et al. 2025, arXiv 2503.10622."""

    def __init__(self, scale: float):
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), scale))

    def forward(self, frames: Tensor) -> Tensor:
        """Any shape."""
        return (self.alpha * frames).tanh()


def _norm(dim: int, config: FocalConfig) -> nn.Module:
    return DynamicTanh(config.tanhscale_init) if config.causal else nn.LayerNorm(dim)


class FocalModulation(nn.Module):
    """A query times what convolutions of growing width saw around it, each with a gate.

    The last context is that of the whole sound; if causal, that of `window` frames before.
    """

    def __init__(self, dim: int, config: FocalConfig, window: int):
        super().__init__()
        self.config, levels = config, config.focal_level
        kernels = [config.focal_window + config.focal_factor * level for level in range(levels)]
        kernels += [window] if config.causal else []
        self.in_proj = nn.Linear(dim, 2 * dim + levels + 1)
        self.layers = nn.ModuleList(
            nn.Sequential(
                LeftPaddedConv1d(
                    dim, dim, kernel, groups=dim, causal=config.causal, padding="same"
                ),
                nn.GELU(),
            )
            for kernel in kernels
        )
        self.context_proj = nn.Conv1d(dim, dim, 1)
        self.out_proj = nn.Linear(dim, dim)
        self.norm = _norm(dim, config) if config.use_post_norm else nn.Identity()

    @property
    def convolutions(self) -> list[LeftPaddedConv1d]:
        """Of each level."""
        return [layer[0] for layer in self.layers]

    def forward(
        self, frames: Tensor, convolve: Sequence[Callable[[Tensor], Tensor]] | None = None
    ) -> Tensor:
        """(B, T, C) -> (B, T, C); `convolve` is called in place of the convolutions."""
        levels, dim = self.config.focal_level, frames.shape[-1]
        query, context, gates = self.in_proj(frames).mT.split([dim, dim, levels + 1], dim=1)
        seen = torch.zeros_like(query)
        for level, convolution in enumerate(convolve or self.convolutions):
            context = F.gelu(convolution(context))
            seen = seen + context * gates[:, level : level + 1]
        if not self.config.causal:
            seen = seen + F.gelu(context.mean(-1, keepdim=True)) * gates[:, levels:]
        if self.config.normalize_modulator:
            seen = seen / (levels + 1)
        return self.out_proj(self.norm((query * self.context_proj(seen)).mT))


class FocalBlock(nn.Module):
    """Focal modulation and two linear layers, each added to its input."""

    def __init__(self, dim: int, config: FocalConfig, window: int):
        super().__init__()
        self.post_norm = config.use_post_norm
        self.modulation_norm, self.feed_forward_norm = _norm(dim, config), _norm(dim, config)
        self.modulation = FocalModulation(dim, config, window)
        self.feed_forward = FeedForward(dim, 4 * dim)
        self.modulation_gamma = self.feed_forward_gamma = None
        if config.use_layerscale:
            self.modulation_gamma = nn.Parameter(torch.full((dim,), config.layerscale_init))
            self.feed_forward_gamma = nn.Parameter(torch.full((dim,), config.layerscale_init))

    def forward(
        self, hidden: Tensor, convolve: Sequence[Callable[[Tensor], Tensor]] | None = None
    ) -> Tensor:
        """(B, C, T) -> (B, C, T); `convolve` as in `FocalModulation`."""
        frames = hidden.mT
        for norm, layer, gamma in (
            (self.modulation_norm, lambda x: self.modulation(x, convolve), self.modulation_gamma),
            (self.feed_forward_norm, self.feed_forward, self.feed_forward_gamma),
        ):
            change = norm(layer(frames)) if self.post_norm else layer(norm(frames))
            frames = frames + (change if gamma is None else change * gamma)
        return frames.mT


class Snake(nn.Module):
    """x + sin²(αx) / α, with one α for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return hidden + (self.alpha * hidden).sin().square() / (self.alpha + 1e-9)


class DownScale(nn.Module):
    """A convolution of `factor` frames to one, and Snake."""

    def __init__(self, channels: int, out_channels: int, factor: int):
        super().__init__()
        self.downscale = nn.Conv1d(channels, out_channels, factor, factor)
        self.activation = Snake(out_channels)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T * factor) -> (B, C', T)."""
        return self.activation(self.downscale(hidden))


class UpScale(nn.Module):
    """Snake, and a transposed convolution of a frame to `factor` frames."""

    def __init__(self, channels: int, out_channels: int, factor: int):
        super().__init__()
        self.activation = Snake(channels)
        self.upscale = nn.ConvTranspose1d(channels, out_channels, factor, factor)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T * factor)."""
        return self.upscale(self.activation(hidden))


class Compressor(nn.Module):
    """Features to latents."""

    def __init__(self, config: CompressorConfig):
        super().__init__()
        self.layers, width = nn.ModuleList(), config.input_dim
        for dim, factor in zip(config.hidden_dims, config.downscale_factors, strict=True):
            block = FocalBlock(dim, config, config.window_size)
            layer = {"downscale": DownScale(width, dim, factor), "focal_block": block}
            self.layers.append(nn.ModuleDict(layer))
            width = dim
        self.out_proj = nn.Linear(width, config.output_dim)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T * scale) -> latents (B, D, T) of length 1."""
        for layer in self.layers:
            hidden = layer["focal_block"](layer["downscale"](hidden))
        return self.latents(hidden)

    def latents(self, hidden: Tensor) -> Tensor:
        """What follows the layers."""
        return F.normalize(self.out_proj(hidden.mT), dim=-1).mT


class ChunkFeedForward(nn.Module):
    """x + two linear layers on chunks of frames; zeros complete the last chunk."""

    def __init__(self, chunk: int, dim: int):
        super().__init__()
        self.chunk = chunk
        self.in_proj, self.out_proj = (nn.Linear(chunk * dim, chunk * dim) for _ in range(2))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        length = hidden.shape[-1]
        frames = F.pad(hidden, (0, -length % self.chunk)).mT
        chunks = frames.unflatten(1, (-1, self.chunk)).flatten(2)
        change = self.out_proj(F.gelu(self.in_proj(chunks)))
        return hidden + change.view(frames.shape)[:, :length].mT


class Decompressor(nn.Module):
    """Codewords to features."""

    def __init__(self, config: DecompressorConfig):
        super().__init__()
        widths = (*config.hidden_dims, config.output_dim)
        self.in_proj = nn.Linear(config.input_dim, widths[0])
        self.layers, last = nn.ModuleList(), len(config.upscale_factors) - 1
        for number, factor in enumerate(config.upscale_factors):
            dim, wider = widths[number : number + 2]
            window = config.last_window_size if number == last else config.window_size
            layer = {"focal_block": FocalBlock(dim, config, window)}
            self.layers.append(nn.ModuleDict(layer | {"upscale": UpScale(dim, wider, factor)}))
        self.chunk = 1 + config.lookahead_size if config.causal else 1
        self.refiner = ChunkFeedForward(self.chunk, widths[-1]) if self.chunk > 1 else nn.Identity()

    def forward(self, codewords: Tensor) -> Tensor:
        """(B, D, T) -> (B, C, T * scale)."""
        hidden = self.start(codewords)
        for layer in self.layers:
            hidden = layer["upscale"](layer["focal_block"](hidden))
        return self.refiner(hidden)

    def start(self, codewords: Tensor) -> Tensor:
        """What precedes the layers."""
        return self.in_proj(codewords.mT).mT
