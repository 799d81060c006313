"""Shared parts of all discriminators: their output type, sets of them, convolutions, the STFT."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

DiscriminatorOutput = tuple[
    Tensor, list[Tensor]
]  # logits, and the maps that feature matching compares


class DiscriminatorSet(nn.Module):
    """Several discriminators as one.

    Args:
        discriminators: each maps a waveform to a pair (logits, feature maps), or a list of pairs.
        normalise: first subtract the mean of each waveform and scale its peak to 0.8 (DAC).
    """

    def __init__(self, discriminators: Iterable[nn.Module], normalise: bool = False):
        super().__init__()
        self.discriminators = nn.ModuleList(discriminators)
        self.normalise = normalise

    def forward(self, waveform: Tensor) -> list[DiscriminatorOutput]:
        """(B, C, L) -> one pair (logits, feature maps) for each sub-discriminator."""
        if self.normalise:
            waveform = normalised(waveform)
        judgements = []
        for discriminator in self.discriminators:
            output = discriminator(waveform)
            judgements += output if isinstance(output, list) else [output]
        return judgements


def normalised(waveform: Tensor) -> Tensor:
    """Waveform (B, C, L) with mean 0 and peak 0.8."""
    centred = waveform - waveform.mean(dim=-1, keepdim=True)
    return 0.8 * centred / (centred.abs().amax(dim=-1, keepdim=True) + 1e-9)


def each_channel(waveform: Tensor) -> Tensor:
    """(B, C, L) -> (B * C, L): for discriminators that take one channel at a time."""
    return waveform.float().flatten(0, 1)


def conv2d(channels_in: int, channels_out: int, kernel: Sequence[int], **options) -> nn.Conv2d:
    """A two-dimensional convolution under weight normalisation."""
    return weight_norm(nn.Conv2d(channels_in, channels_out, tuple(kernel), **options))


def through(hidden: Tensor, convs: Iterable[nn.Module], slope: float) -> list[Tensor]:
    """The outputs of all convolutions, each followed by a leaky ReLU, in order."""
    maps = []
    for conv in convs:
        hidden = F.leaky_relu(conv(hidden), slope)
        maps.append(hidden)
    return maps


class Spectrum(nn.Module):
    """A complex STFT.

    Args:
        window_length: samples; also the number of points of the Fourier transform.
        hop_length: samples.
        window: "hann" or "rectangular".
        centred: frames are centred, the waveform reflected at its ends.
        unit_norm: divide by the norm of the window.
    """

    def __init__(
        self,
        window_length: int,
        hop_length: int,
        window: str = "hann",
        centred: bool = True,
        unit_norm: bool = False,
    ):
        super().__init__()
        self.hop_length, self.centred, self.unit_norm = hop_length, centred, unit_norm
        if window not in ("hann", "rectangular"):
            raise ValueError(f"window {window!r} is neither 'hann' nor 'rectangular'")
        shape = torch.hann_window if window == "hann" else torch.ones
        self.register_buffer("window", shape(window_length), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """(N, L) float32 -> (N, F, T) complex."""
        size = len(self.window)
        spectrum = torch.stft(
            waveform, size, self.hop_length, window=self.window, center=self.centred,
            return_complex=True,
        )  # fmt: skip
        return spectrum / self.window.norm() if self.unit_norm else spectrum
