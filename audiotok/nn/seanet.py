"""SEANet: the convolutional encoder and decoder of EnCodec, WavTokenizer and SpeechTokenizer.

Tagliasacchi et al. 2020 (arXiv 2009.02095), as configured in EnCodec (Défossez et al. 2022,
arXiv 2210.13438, section 3.1). Weight normalisation is folded into the weights on conversion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.errors import CheckpointError
from audiotok.nn.convolutions import PaddedConv1d, TrimmedConvTranspose1d


class ELU(nn.Module):
    """The exponential linear unit, in place if its input is not needed again (`spare`)."""

    def __init__(self, spare: bool = False):
        super().__init__()
        self.spare = spare

    def forward(self, hidden: Tensor) -> Tensor:
        """Any shape."""
        return F.elu(hidden, inplace=self.spare and not torch.is_grad_enabled())


class Snake(nn.Module):
    """x + sin²(alpha x) / alpha, one alpha per channel (Ziyin et al. 2020, arXiv 2006.08195)."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return hidden + (self.alpha + 1e-9).reciprocal() * torch.sin(self.alpha * hidden).pow(2)


def _activation(channels: int, snake: bool, spare: bool) -> nn.Module:
    return Snake(channels) if snake else ELU(spare)


class ResidualUnit(nn.Module):
    """shortcut(x) + conv1(ELU(conv3(ELU(x)))), the inner convolution at half the channels."""

    def __init__(self, channels: int, snake: bool = False, **padding: bool):
        super().__init__()
        inner = channels // 2
        self.block = nn.Sequential(
            _activation(channels, snake, spare=False),
            PaddedConv1d(channels, inner, 3, **padding),
            _activation(inner, snake, spare=True),
            PaddedConv1d(inner, channels, 1, **padding),
        )
        self.shortcut = PaddedConv1d(channels, channels, 1, **padding)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return self.shortcut(hidden) + self.block(hidden)


class ResidualLSTM(nn.Module):
    """An LSTM over time whose input is added to its output; to both halves if `bidirectional`.

    With `stepwise`, a few frames on a CPU are computed one after another by plain matrix products:
    PyTorch's LSTM packs its weights at each call, which takes longer than a frame.
    """

    FEW = 8  # frames

    def __init__(
        self, channels: int, num_layers: int, bidirectional: bool = False, stepwise: bool = False
    ):
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, num_layers, bidirectional=bidirectional)
        self.stepwise = stepwise and not bidirectional

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T), or (B, 2 C, T) if bidirectional."""
        return self.advance(hidden)[0]

    def advance(
        self, hidden: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As `forward`, but starts from a state and returns the next state too.

        A state holds the outputs and the cells of all layers, each (layers, B, C).
        """
        frames = hidden.permute(2, 0, 1)
        few = len(frames) <= self.FEW and hidden.device.type == "cpu"
        if self.stepwise and few and not torch.is_grad_enabled():
            output, state = self._step_by_step(frames, state)
        else:
            output, state = self.lstm(frames, state)
        if self.lstm.bidirectional:
            hidden = hidden.repeat(1, 2, 1)
        return output.permute(1, 2, 0) + hidden, state

    def _step_by_step(
        self, frames: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(T, B, C) -> (T, B, C); None is a state of zeros."""
        states = (
            [(None, None)] * self.lstm.num_layers if state is None else zip(*state, strict=True)
        )
        after = []
        for weights, (output, cell) in zip(self.lstm.all_weights, states, strict=True):
            to_gates, recurrent, bias, other_bias = weights
            outputs = []
            for gates in F.linear(frames, to_gates, bias + other_bias):
                if output is not None:
                    gates = torch.addmm(gates, output, recurrent.T)
                input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)
                update = input_gate.sigmoid() * candidate.tanh()
                cell = update if cell is None else forget_gate.sigmoid() * cell + update
                output = output_gate.sigmoid() * cell.tanh()
                outputs.append(output)
            after.append((output, cell))
            frames = torch.stack(outputs)
        outputs, cells = (torch.stack(each) for each in zip(*after, strict=True))
        return frames, (outputs, cells)


class SEANetEncoder(nn.Module):
    """Waveform to latents, one frame per `hop_length` samples.

    Args:
        dimension: channels of the latents.
        num_filters: channels after the first convolution; they double at every stride.
        strides: downsampling factors in the order in which they are applied.
        num_lstm_layers: layers of the LSTM before the last convolution.
        channels: of the waveform.
        bidirectional: the LSTM reads in both directions (SpeechTokenizer).
        snake: activations are Snake instead of ELU (SpeechTokenizer's second checkpoint).
        causal, group_norm: of every convolution, see `convolutions`.
        stepwise: of the LSTM, see `ResidualLSTM`; the last bits of results change.
    """

    def __init__(
        self,
        dimension: int,
        num_filters: int,
        strides: Sequence[int],
        num_lstm_layers: int = 2,
        channels: int = 1,
        bidirectional: bool = False,
        snake: bool = False,
        causal: bool = False,
        group_norm: bool = False,
        stepwise: bool = False,
    ):
        super().__init__()
        self.hop_length = math.prod(strides)
        padding = {"causal": causal, "group_norm": group_norm}
        width = num_filters
        layers: list[nn.Module] = [PaddedConv1d(channels, width, 7, **padding)]
        for stride in strides:
            layers += [
                ResidualUnit(width, snake, **padding),
                _activation(width, snake, spare=True),
                PaddedConv1d(width, width * 2, stride * 2, stride, **padding),
            ]
            width *= 2
        layers.append(ResidualLSTM(width, num_lstm_layers, bidirectional, stepwise))
        width *= 1 + bidirectional
        layers += [
            _activation(width, snake, spare=True),
            PaddedConv1d(width, dimension, 7, **padding),
        ]
        self.layers = nn.Sequential(*layers)
        self._initialise()

    def _initialise(self) -> None:
        """Keep the variance from layer to layer, and lift speech (RMS near 0.05) to about 1.

        With PyTorch's default initialisation the output has 1e-3 of the level of the waveform,
        from which a short training does not recover.
        """
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
                nn.init.zeros_(layer.bias)
        self.layers[0].weight.data.mul_(20)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, C, L) -> latents (B, dimension, ceil(L / hop_length))."""
        return self.layers(waveform)


class SEANetDecoder(nn.Module):
    """Quantized vectors to waveform: the encoder in reverse, with a forward LSTM.

    Args:
        strides: of the encoder, in its order; the decoder applies them in reverse order.

    The other arguments are those of `SEANetEncoder`.
    """

    def __init__(
        self,
        dimension: int,
        num_filters: int,
        strides: Sequence[int],
        num_lstm_layers: int = 2,
        channels: int = 1,
        snake: bool = False,
        causal: bool = False,
        group_norm: bool = False,
        stepwise: bool = False,
    ):
        super().__init__()
        padding = {"causal": causal, "group_norm": group_norm}
        width = num_filters * 2 ** len(strides)
        layers = [
            PaddedConv1d(dimension, width, 7, **padding),
            ResidualLSTM(width, num_lstm_layers, stepwise=stepwise),
        ]
        for stride in reversed(strides):
            layers += [
                _activation(width, snake, spare=True),
                TrimmedConvTranspose1d(width, width // 2, stride, **padding),
                ResidualUnit(width // 2, snake, **padding),
            ]
            width //= 2
        layers += [
            _activation(width, snake, spare=True),
            PaddedConv1d(width, channels, 7, **padding),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, quantized: Tensor) -> Tensor:
        """(B, dimension, T) -> waveform (B, C, T * hop_length)."""
        return self.layers(quantized)


# The keys of gain and direction of a normalised weight, in PyTorch's old and new form
_NORMALISED = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)


def as_float32(tensor: Tensor) -> Tensor:
    """Floating point as float32. Other dtypes are kept; a strict load refuses them."""
    return tensor.float() if tensor.is_floating_point() else tensor


def fold_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace each pair of gain g and direction v by g * v / ||v||, the norm over all but dim 0.

    A pair is `weight_g` and `weight_v` or, as newer PyTorch writes it,
    `parametrizations.weight.original0` and `original1`.

    Raises:
        CheckpointError: a pair does not fit together.
    """
    folded = dict(state)
    for gain, direction in _NORMALISED:
        for key in [key for key in folded if key.endswith(f".{direction}")]:
            owner = key.removesuffix(direction)
            if owner + gain in folded:
                pair = folded.pop(key), folded.pop(owner + gain)
                whole, scale = (tuple(each.shape) for each in pair)
                try:  # PyTorch reads a gain of another shape without a complaint
                    if scale != (*whole[:1], *(1,) * (len(whole) - 1)):
                        raise RuntimeError
                    folded[owner + "weight"] = torch._weight_norm(*pair, 0)
                except RuntimeError:
                    kinds = " and ".join(f"{each.dtype} {tuple(each.shape)}" for each in pair)
                    raise CheckpointError(
                        f"direction and gain of {owner}weight are {kinds}: expected floating point "
                        "of shapes that fit; is the file damaged?"
                    ) from None
    return folded
