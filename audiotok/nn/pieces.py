"""Convolutional networks run piece by piece: the outputs concatenate to those of the whole input.

Each layer buffers the past samples that it still needs, and delays output that it cannot compute
yet: at the beginning until there is as much sound as its reflection padding needs, at the end until
a window is full or the input has ended. Only the last bits may differ, because floating-point
results depend on the length of a piece. Streaming EnCodec is described in Défossez et al. 2022,
arXiv 2210.13438, section 3.1; there the padding is zeros, here it is the same as without pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import singledispatch
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.nn import dac
from audiotok.nn.alias_free import REACH, AliasFreeSnake
from audiotok.nn.convnext import ConvNeXtEncoder, ConvNeXtUnit, FrameNorm, Perceptron
from audiotok.nn.convolutions import PaddedConv1d, TrimmedConvTranspose1d
from audiotok.nn.seanet import (
    ELU,
    ResidualLSTM,
    ResidualUnit,
    SEANetDecoder,
    SEANetEncoder,
    Snake,
)
from audiotok.nn.states import Stateful, Stateless

# (B, C, T) and whether it is the last piece -> (B, C', T'), where T' may be 0
Pieces = Callable[[Tensor, bool], Tensor]
FEW = 16  # frames


class Convolution(Stateful):
    """A convolution of L samples to ceil(L / stride) frames, padded as without pieces.

    Args:
        layer: the layer with its padding; it processes sound too short to be run piece by piece.
        conv: the convolution in it.
        left: samples of padding at the beginning.
        right: at the end, without those that complete the last window.
        mode: of the padding, as `torch.nn.functional.pad` names it.
    """

    TENSORS, NUMBERS = ("waiting",), ("length", "used")

    def __init__(
        self, layer: nn.Module, conv: nn.Conv1d, left: int, right: int = 0, mode: str = "reflect"
    ):
        self.layer, self.conv, self.left, self.right, self.mode = layer, conv, left, right, mode
        self.stride = conv.stride[0]
        self.kernel = (conv.kernel_size[0] - 1) * conv.dilation[0] + 1
        mirrored = max(left, right + self.stride - 1)
        self.needed = {"reflect": mirrored + 1, "replicate": 1, "constant": 1}[mode]
        self.pointwise = self.kernel == self.stride == 1 and not left and not right
        self.length = 0  # of the input so far, less whole strides as soon as that is enough
        self.waiting: Tensor | None = None
        self.used = 0  # samples of `waiting` that only the reflection at the end may still need

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        if self.pointwise:
            return self._frames(hidden, hidden.shape[-1])
        started = self.length >= self.needed
        self.length += hidden.shape[-1]
        if self.waiting is not None:
            hidden = torch.cat([self.waiting, hidden], dim=-1)
        if not started:
            if last and 0 < self.length < self.needed:
                return self.layer(hidden)
            if self.length < self.needed:
                self.waiting = hidden.clone()
                return self._frames(hidden, 0)
            hidden = self._padded(hidden, self.left, 0)
        if last:
            hidden = self._padded(hidden, 0, self.right + -self.length % self.stride)
        num_frames = max(0, (hidden.shape[-1] - self.used - self.kernel) // self.stride + 1)
        frames = self._frames(hidden[..., self.used :], num_frames)
        consumed = self.used + num_frames * self.stride
        self.used = min(consumed, 1)
        self.length = self.needed + (self.length - self.needed) % self.stride
        self.waiting = hidden[..., consumed - self.used :].clone()
        return frames

    def _padded(self, hidden: Tensor, left: int, right: int) -> Tensor:
        return F.pad(hidden, (left, right), self.mode) if left or right else hidden

    def _frames(self, hidden: Tensor, num_frames: int) -> Tensor:
        if not num_frames:
            return hidden.new_zeros(len(hidden), self.conv.out_channels, 0)
        hidden = hidden[..., : (num_frames - 1) * self.stride + self.kernel]
        conv = self.conv
        return F.conv1d(hidden, conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)


class Transposed(Stateful):
    """A transposed convolution of T frames to T * stride samples.

    Args:
        conv: the convolution.
        left: samples to trim at the beginning.
    """

    TENSORS = ("tail",)

    def __init__(self, conv: nn.ConvTranspose1d, left: int = 0):
        self.conv, self.left = conv, left
        self.stride = conv.stride[0]
        self.tail: Tensor | None = None  # contribution of past frames to the next samples

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        conv, num_samples = self.conv, hidden.shape[-1] * self.stride
        over = conv.kernel_size[0] - self.stride
        samples = hidden.new_zeros(len(hidden), conv.out_channels, num_samples + over)
        if num_samples:
            samples = self._spread(hidden)
        first = self.tail is None
        if not first:
            samples[..., :over] += self.tail
        elif not num_samples:
            return samples[..., :0]
        self.tail = samples[..., num_samples:].clone()
        ready = samples[..., self.left if first else 0 : num_samples + (self.left if last else 0)]
        return ready if conv.bias is None else ready + conv.bias[:, None]

    def _spread(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', (T - 1) * stride + kernel), without the bias.

        A few frames on a CPU are one matrix product, much faster than PyTorch's transposed
        convolution; the last bits may differ.
        """
        conv, (batch, _, length) = self.conv, hidden.shape
        few = (
            length <= FEW
            and batch * length > 1
            and hidden.device.type == "cpu"
            and conv.groups == conv.dilation[0] == 1
        )
        if not few or torch.is_autocast_enabled("cpu"):
            return F.conv_transpose1d(
                hidden, conv.weight, None, self.stride, groups=conv.groups, dilation=conv.dilation
            )
        spread = _transposed_weight(conv) @ hidden.transpose(0, 1).flatten(1)
        spread = spread.unflatten(1, (batch, length)).transpose(0, 1)
        size = (length - 1) * self.stride + conv.kernel_size[0]
        kernel, stride = (1, conv.kernel_size[0]), (1, self.stride)
        return F.fold(spread, (1, size), kernel, stride=stride)[:, :, 0]


# Of each convolution, shared by its streams: what tells that its weight has changed, and the copy
_transposed: WeakKeyDictionary[nn.Module, tuple[tuple[int, int], Tensor]] = WeakKeyDictionary()


def _transposed_weight(conv: nn.ConvTranspose1d) -> Tensor:
    """The weight as a matrix (C' * kernel, C), contiguous."""
    weight = conv.weight
    state = (weight.data_ptr(), 0 if weight.is_inference() else weight._version)
    known = _transposed.get(conv)
    if known is None or known[0] != state:
        _transposed[conv] = known = state, weight.detach().flatten(1).T.contiguous()
    return known[1]


class Overlapping(Stateful):
    """A layer each of whose outputs depends on `reach` samples on either side: pieces overlap."""

    TENSORS, NUMBERS = ("waiting",), ("skipped",)

    def __init__(self, layer: nn.Module, reach: int):
        self.layer, self.reach = layer, reach
        self.skipped = 0  # of `waiting`, samples whose output was returned before
        self.waiting: Tensor | None = None

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        if self.waiting is not None:
            hidden = torch.cat([self.waiting, hidden], dim=-1)
        stop = hidden.shape[-1] - (0 if last else self.reach)
        if stop <= self.skipped:
            self.waiting = hidden.clone()
            return hidden[..., :0]
        output = self.layer(hidden)[..., self.skipped : stop]
        kept = max(0, stop - self.reach)
        self.skipped, self.waiting = stop - kept, hidden[..., kept:].clone()
        return output


class Recurrent(Stateful):
    """A unidirectional LSTM whose input is added to its output."""

    TENSORS, ROWS = ("state",), 1

    def __init__(self, layer: ResidualLSTM):
        if layer.lstm.bidirectional:
            raise ValueError("a bidirectional LSTM needs the whole sound at once")
        self.layer = layer
        self.state: tuple[Tensor, Tensor] | None = None

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        if not hidden.shape[-1]:
            return hidden
        hidden, self.state = self.layer.advance(hidden, self.state)
        return hidden


class Sum(Stateful):
    """The sum of two branches, which may have different delays."""

    TENSORS = ("waiting",)

    def __init__(self, *branches: Pieces):
        self.branches = self.parts = branches
        self.waiting: list[Tensor] = []

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        outputs = [branch(hidden, last) for branch in self.branches]
        if not self.waiting and outputs[0].shape[-1] == outputs[1].shape[-1]:
            return outputs[0] + outputs[1]
        if self.waiting:
            pairs = zip(self.waiting, outputs, strict=True)
            outputs = [torch.cat(pair, dim=-1) for pair in pairs]
        ready = min(output.shape[-1] for output in outputs)
        self.waiting = [output[..., ready:].clone() for output in outputs]
        if not any(output.shape[-1] for output in self.waiting):
            self.waiting = []
        first, second = (output[..., :ready] for output in outputs)
        return first + second


class Chain(Stateful):
    """Layers in sequence."""

    def __init__(self, steps: Iterable[Pieces]):
        self.steps = self.parts = list(steps)

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        for step in self.steps:
            hidden = step(hidden, last)
        return hidden


class Search(Stateful):
    """Encoder and search: returns codes when all frames that share a code are available.

    Args:
        encoder: waveform to latents.
        search: latents (B, D, T) float32 -> codes (B, K, T). Where later frames may share a code,
            it has a method `complete`: latents of whole units -> the frames that are settled.
        num_codebooks: K.
        unit: least common multiple of the strides, frames.
    """

    TENSORS = ("waiting",)

    def __init__(
        self, encoder: Pieces, search: Callable[[Tensor], Tensor], num_codebooks: int, unit: int
    ):
        self.encoder, self.search = encoder, search
        self.parts = (encoder,)
        self.num_codebooks, self.unit = num_codebooks, unit
        self.waiting: Tensor | None = None

    def __call__(self, waveform: Tensor, last: bool) -> Tensor:
        """(B, C, L) -> codes (B, K, T)."""
        return self._codes(self.encoder(waveform, last), last)

    @property
    def steps(self) -> list[Pieces]:
        """The layers of the encoder, and the search, which are applied one after another."""
        layers = self.encoder.steps if isinstance(self.encoder, Chain) else [self.encoder]
        return [*layers, self._codes]

    def _codes(self, latents: Tensor, last: bool) -> Tensor:
        """Latents (B, D, T') -> codes (B, K, T)."""
        latents = latents.float()
        if self.waiting is not None:
            latents = torch.cat([self.waiting, latents], dim=-1)
        ready = latents.shape[-1]
        if not last:
            ready -= ready % self.unit
            if ready and hasattr(self.search, "complete"):
                ready = self.search.complete(latents[..., :ready])
        self.waiting = latents[..., ready:].clone() if ready < latents.shape[-1] else None
        if not ready:
            shape = (len(latents), self.num_codebooks, 0)
            return torch.empty(shape, dtype=torch.int64, device=latents.device)
        return self.search(latents[..., :ready])


@singledispatch
def pieces(layer: nn.Module) -> Pieces:
    """A stateful version of a layer or network, in its initial state."""
    raise ValueError(f"{type(layer).__name__} needs the whole sound at once")


@pieces.register(ELU)
@pieces.register(Snake)
@pieces.register(FrameNorm)
@pieces.register(Perceptron)
@pieces.register(nn.ELU)
@pieces.register(nn.LeakyReLU)
@pieces.register(nn.Tanh)
@pieces.register(nn.Identity)
def _(layer: nn.Module) -> Pieces:
    return Stateless(layer)


@pieces.register
def _(layer: PaddedConv1d) -> Pieces:
    if layer.norm is not None:
        raise ValueError("a group norm needs the whole sound at once")
    return Convolution(layer, layer, layer.left, layer.right)


@pieces.register
def _(layer: TrimmedConvTranspose1d) -> Pieces:
    if layer.norm is not None:
        raise ValueError("a group norm needs the whole sound at once")
    return Transposed(layer, layer.left)


@pieces.register
def _(layer: nn.Conv1d) -> Pieces:
    """One that keeps whole frames; what completes the last stride is not padded on the right."""
    (left,), (stride,) = layer.padding, layer.stride
    kernel = (layer.kernel_size[0] - 1) * layer.dilation[0] + 1
    mode = {"zeros": "constant"}.get(layer.padding_mode, layer.padding_mode)
    return Convolution(layer, layer, left, kernel - stride - left, mode)


@pieces.register
def _(layer: nn.ConvTranspose1d) -> Pieces:
    return Transposed(layer, layer.padding[0])


@pieces.register
def _(layer: AliasFreeSnake) -> Pieces:
    return Overlapping(layer, REACH)


@pieces.register
def _(layer: dac.ResidualUnit) -> Pieces:
    return Sum(pieces(nn.Identity()), pieces(layer.layers))


@pieces.register(dac.EncoderBlock)
@pieces.register(dac.DecoderBlock)
def _(layer: nn.Module) -> Pieces:
    return pieces(layer.layers)


@pieces.register
def _(layer: ResidualLSTM) -> Pieces:
    return Recurrent(layer)


@pieces.register
def _(layer: ResidualUnit) -> Pieces:
    return Sum(pieces(layer.shortcut), pieces(layer.block))


@pieces.register
def _(layer: ConvNeXtUnit) -> Pieces:
    return Sum(pieces(nn.Identity()), pieces(layer.block))


@pieces.register(nn.Sequential)
@pieces.register(nn.ModuleList)
def _(layer: Iterable[nn.Module]) -> Pieces:
    return Chain(pieces(each) for each in layer)


@pieces.register(ConvNeXtEncoder)
@pieces.register(SEANetEncoder)
@pieces.register(SEANetDecoder)
def _(network: nn.Module) -> Pieces:
    return pieces(network.layers)
