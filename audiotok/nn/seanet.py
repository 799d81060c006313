"""SEANet: the convolutional encoder of EnCodec, WavTokenizer and SpeechTokenizer.

Tagliasacchi et al. 2020 (arXiv 2009.02095), as configured in EnCodec (Défossez et al. 2022,
arXiv 2210.13438, section 3.1). Weight normalisation is folded into the weights on conversion.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PaddedConv1d(nn.Conv1d):
    """A convolution that pads by reflection so that L samples give ceil(L / stride) frames.

    The padding splits unevenly for even kernels (one more on the left); what the last window lacks
    is added on the right. An input shorter than the padding is first extended with zeros.
    """

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, C, L) -> (B, C', ceil(L / stride))."""
        length, stride = waveform.shape[-1], self.stride[0]
        extent = (self.kernel_size[0] - 1) * self.dilation[0] + 1
        total = extent - stride
        right = total // 2
        left = total - right
        right += math.ceil(length / stride) * stride - length
        return super().forward(_pad_reflect(waveform, left, right))


def _pad_reflect(waveform: Tensor, left: int, right: int) -> Tensor:
    missing = max(left, right) - waveform.shape[-1] + 1
    if missing <= 0:
        return F.pad(waveform, (left, right), mode="reflect")
    padded = F.pad(F.pad(waveform, (0, missing)), (left, right), mode="reflect")
    return padded[..., : padded.shape[-1] - missing]


class ResidualUnit(nn.Module):
    """shortcut(x) + conv1(ELU(conv3(ELU(x)))), the inner convolution at half the channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.block = nn.Sequential(
            nn.ELU(),
            PaddedConv1d(channels, channels // 2, 3),
            nn.ELU(),
            PaddedConv1d(channels // 2, channels, 1),
        )
        self.shortcut = PaddedConv1d(channels, channels, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        return self.shortcut(hidden) + self.block(hidden)


class ResidualLSTM(nn.Module):
    """A unidirectional LSTM over time whose input is added to its output."""

    def __init__(self, channels: int, num_layers: int):
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, num_layers)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        output, _ = self.lstm(hidden.permute(2, 0, 1))
        return output.permute(1, 2, 0) + hidden


class SEANetEncoder(nn.Module):
    """Waveform to latents, one frame per `hop_length` samples.

    Args:
        dimension: channels of the latents.
        num_filters: channels after the first convolution; they double at every stride.
        strides: downsampling factors in the order in which they are applied.
        num_lstm_layers: layers of the LSTM before the last convolution.
    """

    def __init__(
        self, dimension: int, num_filters: int, strides: Sequence[int], num_lstm_layers: int = 2
    ):
        super().__init__()
        self.hop_length = math.prod(strides)
        channels = num_filters
        layers: list[nn.Module] = [PaddedConv1d(1, channels, 7)]
        for stride in strides:
            layers += [
                ResidualUnit(channels),
                nn.ELU(),
                PaddedConv1d(channels, channels * 2, stride * 2, stride),
            ]
            channels *= 2
        layers += [
            ResidualLSTM(channels, num_lstm_layers),
            nn.ELU(),
            PaddedConv1d(channels, dimension, 7),
        ]
        self.layers = nn.Sequential(*layers)
        self._initialise()

    def _initialise(self) -> None:
        """Keep the variance from layer to layer, and lift speech (RMS near 0.05) to about 1.

        PyTorch's default lets a waveform fade to 1e-3 of its level on its way through, where a
        short training does not find it.
        """
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
                nn.init.zeros_(layer.bias)
        self.layers[0].weight.data.mul_(20)

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, 1, L) -> latents (B, dimension, ceil(L / hop_length))."""
        return self.layers(waveform)


def fold_weight_norm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replace each pair `weight_g`, `weight_v` by g * v / ||v||, the norm over all but dim 0."""
    folded = {k: v for k, v in state.items() if not k.endswith((".weight_g", ".weight_v"))}
    for key, direction in state.items():
        if key.endswith(".weight_v") and (gain := state.get(key[:-1] + "g")) is not None:
            folded[key[: -len("_v")]] = torch._weight_norm(direction, gain, 0)
    return folded
