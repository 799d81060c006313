"""The decoder of Qwen3-TTS's 12 Hz tokenizer: a transformer, ConvNeXt blocks, and SnakeBeta blocks.

Modules have the names that they have in the official state dict. All layers are causal, and run
piece by piece too; the transformer looks back on the last frames only.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.codecs._mimi_pieces import Attending
from audiotok.nn.pieces import Chain, Convolution, Pieces, Sum, Transposed, pieces
from audiotok.nn.states import Stateless


class DecoderConfig(BaseModel):
    """The sizes in `decoder_config` of a config.json; other fields there are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    codebook_size: int = 2048
    codebook_dim: int = 512
    num_quantizers: int = Field(16, gt=1)
    latent_dim: int = 1024
    hidden_size: int = 1024
    num_hidden_layers: int = 8
    num_attention_heads: int = 16
    num_key_value_heads: int = 16
    head_dim: int | None = None
    attention_bias: bool = False
    sliding_window: int = Field(72, gt=0)  # frames, the present one included
    intermediate_size: int = 3072
    hidden_act: str = Field("silu", pattern="^silu$")
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10_000.0
    upsampling_ratios: tuple[int, ...] = (2, 2)  # before the waveform
    upsample_rates: tuple[int, ...] = (8, 5, 4, 3)
    decoder_dim: int = 1536


class CausalConv(nn.Module):
    """A convolution with zeros before the sound."""

    def __init__(self, channels: int, to: int, kernel: int, dilation: int = 1, groups: int = 1):
        super().__init__()
        self.conv = nn.Conv1d(channels, to, kernel, dilation=dilation, groups=groups)
        self.left = (kernel - 1) * dilation

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T)."""
        return self.conv(F.pad(hidden, (self.left, 0)))


class CausalTransposed(nn.Module):
    """A transposed convolution without the samples after the last frame."""

    def __init__(self, channels: int, to: int, kernel: int, stride: int):
        super().__init__()
        self.conv = nn.ConvTranspose1d(channels, to, kernel, stride)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T * stride)."""
        return self.conv(hidden)[..., : hidden.shape[-1] * self.conv.stride[0]]


class ConvNeXt(nn.Module):
    """A depthwise convolution and a perceptron for each frame, added to the input."""

    def __init__(self, channels: int):
        super().__init__()
        self.dwconv = CausalConv(channels, channels, 7, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pwconv1 = nn.Linear(channels, 4 * channels)
        self.pwconv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), 1e-6))

    def perceptron(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T), each frame alone."""
        return (self.gamma * self.pwconv2(F.gelu(self.pwconv1(self.norm(hidden.mT))))).mT

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return hidden + self.perceptron(self.dwconv(hidden))


class SnakeBeta(nn.Module):
    """x + sin²(αx) / β, with logarithms of α and β for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        alpha, beta = self.alpha.exp()[:, None], self.beta.exp()[:, None]
        return hidden + (hidden * alpha).sin().square() / (beta + 1e-9)


class ResidualUnit(nn.Module):
    """x + conv1(SnakeBeta(conv7(SnakeBeta(x))))."""

    def __init__(self, channels: int, dilation: int):
        super().__init__()
        self.act1, self.act2 = SnakeBeta(channels), SnakeBeta(channels)
        self.conv1 = CausalConv(channels, channels, 7, dilation)
        self.conv2 = CausalConv(channels, channels, 1)

    @property
    def steps(self) -> tuple[nn.Module, ...]:
        """The layers in the order in which they are applied."""
        return self.act1, self.conv1, self.act2, self.conv2

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return hidden + _applied(self.steps, hidden)


class DecoderBlock(nn.Module):
    """A transposed convolution to half the channels, and three residual units."""

    def __init__(self, channels: int, stride: int):
        super().__init__()
        half = channels // 2
        upsampling = CausalTransposed(channels, half, 2 * stride, stride)
        units = [ResidualUnit(half, dilation) for dilation in (1, 3, 9)]
        self.block = nn.ModuleList([SnakeBeta(channels), upsampling, *units])

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C / 2, T * stride)."""
        return _applied(self.block, hidden)


class Rotary(nn.Module):
    """Cosines and sines of the positions, for heads of `dim` dimensions."""

    def __init__(self, dim: int, theta: float):
        super().__init__()
        rates = theta ** -(torch.arange(0, dim, 2).float() / dim)
        self.register_buffer("rates", rates, persistent=False)

    def forward(self, hidden: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Positions (B, T) -> twice (B, T, dim), of the dtype of `hidden`."""
        angles = positions[..., None].float() * self.rates
        angles = torch.cat([angles, angles], -1)
        return angles.cos().to(hidden.dtype), angles.sin().to(hidden.dtype)


class Attention(nn.Module):
    """The projections of attention; `Attending` runs it."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        heads, shared = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = config.head_dim or config.hidden_size // heads
        self.num_key_value_groups, self.scaling = heads // shared, self.head_dim**-0.5
        inside, bias = heads * self.head_dim, config.attention_bias
        self.q_proj = nn.Linear(config.hidden_size, inside, bias=bias)
        self.k_proj = nn.Linear(config.hidden_size, shared * self.head_dim, bias=bias)
        self.v_proj = nn.Linear(config.hidden_size, shared * self.head_dim, bias=bias)
        self.o_proj = nn.Linear(inside, config.hidden_size, bias=bias)


class Perceptron(nn.Module):
    """A gated perceptron."""

    def __init__(self, channels: int, inside: int):
        super().__init__()
        self.gate_proj = nn.Linear(channels, inside, bias=False)
        self.up_proj = nn.Linear(channels, inside, bias=False)
        self.down_proj = nn.Linear(inside, channels, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        return self.down_proj(F.silu(self.gate_proj(hidden)) * self.up_proj(hidden))


class RMSNorm(nn.Module):
    """Vectors at a root mean square of 1, times a factor for each channel."""

    def __init__(self, channels: int, eps: float):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(channels)), eps

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        square = hidden.float().square().mean(-1, keepdim=True)
        return self.weight * (hidden.float() * (square + self.eps).rsqrt()).to(hidden.dtype)


class Scale(nn.Module):
    """A factor for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), 0.01))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        return self.scale * hidden


class TransformerLayer(nn.Module):
    """Attention and perceptron, each behind a norm and before a scale; `Attending` runs it."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        size, eps = config.hidden_size, config.rms_norm_eps
        self.self_attn = Attention(config)
        self.mlp = Perceptron(size, config.intermediate_size)
        self.input_layernorm = RMSNorm(size, eps)
        self.post_attention_layernorm = RMSNorm(size, eps)
        self.self_attn_layer_scale, self.mlp_layer_scale = Scale(size), Scale(size)


class Transformer(nn.Module):
    """Layers that look back on a window of frames, between projections."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config = config
        self.layers = nn.ModuleList(
            TransformerLayer(config) for _ in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.rotary_emb = Rotary(self.layers[0].self_attn.head_dim, config.rope_theta)
        self.input_proj = nn.Linear(config.latent_dim, config.hidden_size)
        self.output_proj = nn.Linear(config.hidden_size, config.latent_dim)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return pieces(self)(hidden, True)


class Codebook(nn.Module):
    """Codewords as sums over the latents that chose them, and how many these were."""

    def __init__(self, size: int, dimension: int):
        super().__init__()
        self.cluster_usage = nn.Parameter(torch.ones(size))
        self.embedding_sum = nn.Parameter(torch.zeros(size, dimension))

    @property
    def vectors(self) -> Tensor:
        """(V, D)."""
        return self.embedding_sum / self.cluster_usage.clamp(min=1e-5)[:, None]


class Stage(nn.Module):
    """A codebook under its official name."""

    def __init__(self, size: int, dimension: int):
        super().__init__()
        self._codebook = Codebook(size, dimension)


class Stack(nn.Module):
    """Residual codebooks of half the dimension; `input_proj` is in the file, but not used."""

    def __init__(self, count: int, config: DecoderConfig):
        super().__init__()
        dimension, half = config.codebook_dim, config.codebook_dim // 2
        self.input_proj = nn.Conv1d(dimension, half, 1, bias=False)
        self.output_proj = nn.Conv1d(half, dimension, 1, bias=False)
        self.vq = nn.Module()
        self.vq.layers = nn.ModuleList(Stage(config.codebook_size, half) for _ in range(count))

    @property
    def codebooks(self) -> list[Tensor]:
        return [layer._codebook.vectors for layer in self.vq.layers]

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, k, T) of the first k codebooks -> (B, D, T)."""
        pairs = zip(codes.unbind(1), self.codebooks, strict=False)
        return self.output_proj(sum(F.embedding(*pair) for pair in pairs).mT)


class SplitQuantizer(nn.Module):
    """A semantic codebook and residual acoustic ones, whose vectors add up."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.rvq_first, self.rvq_rest = Stack(1, config), Stack(config.num_quantizers - 1, config)

    @property
    def codebooks(self) -> list[Tensor]:
        return self.rvq_first.codebooks + self.rvq_rest.codebooks

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, k, T) -> (B, D, T)."""
        if not codes.shape[-1]:  # a piece without frames
            return self.rvq_first.output_proj.weight.new_zeros(
                len(codes), self.rvq_first.output_proj.out_channels, 0
            )
        vectors = self.rvq_first.decode(codes[:, :1])
        return vectors + self.rvq_rest.decode(codes[:, 1:]) if codes.shape[1] > 1 else vectors


class Decoder(nn.Module):
    """Quantized vectors to a waveform; `quantizer` holds the codebooks."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config, width = config, config.decoder_dim
        self.quantizer = SplitQuantizer(config)
        self.pre_conv = CausalConv(config.codebook_dim, config.latent_dim, 3)
        self.pre_transformer = Transformer(config)
        self.upsample = nn.ModuleList(
            nn.ModuleList(
                [
                    CausalTransposed(config.latent_dim, config.latent_dim, factor, factor),
                    ConvNeXt(config.latent_dim),
                ]
            )
            for factor in config.upsampling_ratios
        )
        blocks = [DecoderBlock(width >> n, rate) for n, rate in enumerate(config.upsample_rates)]
        last = width >> len(blocks)
        first = CausalConv(config.latent_dim, width, 7)
        self.decoder = nn.ModuleList([first, *blocks, SnakeBeta(last), CausalConv(last, 1, 7)])

    @property
    def steps(self) -> list[nn.Module]:
        """The layers in the order in which they are applied."""
        upsampling = [layer for pair in self.upsample for layer in pair]
        return [self.pre_conv, self.pre_transformer, *upsampling, *self.decoder]

    def forward(self, quantized: Tensor) -> Tensor:
        """(B, D, T) -> (B, 1, T * hop), within -1 and 1."""
        return _applied(self.steps, quantized).clamp(-1, 1)


def _applied(steps, hidden: Tensor) -> Tensor:
    for step in steps:
        hidden = step(hidden)
    return hidden


@pieces.register
def _(layer: CausalConv) -> Pieces:
    return Convolution(layer, layer.conv, layer.left, mode="constant")


@pieces.register
def _(layer: CausalTransposed) -> Pieces:
    return Transposed(layer.conv)


@pieces.register
def _(layer: SnakeBeta) -> Pieces:
    return Stateless(layer)


@pieces.register
def _(layer: ConvNeXt) -> Pieces:
    return Sum(pieces(nn.Identity()), Chain([pieces(layer.dwconv), Stateless(layer.perceptron)]))


@pieces.register
def _(layer: ResidualUnit) -> Pieces:
    return Sum(pieces(nn.Identity()), Chain(pieces(step) for step in layer.steps))


@pieces.register
def _(layer: DecoderBlock) -> Pieces:
    return pieces(layer.block)


@pieces.register
def _(model: Transformer) -> Pieces:
    return Chain(
        [
            Stateless(lambda hidden: model.input_proj(hidden.mT).mT),
            Attending(model),
            Stateless(lambda hidden: model.output_proj(model.norm(hidden.mT)).mT),
        ]
    )


@pieces.register
def _(decoder: Decoder) -> Pieces:
    steps = [pieces(step) for step in decoder.steps]
    return Chain([*steps, Stateless(lambda waveform: waveform.clamp(-1, 1))])
