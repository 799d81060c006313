"""Padded convolutions: L samples give ceil(L / stride) frames, T frames give T * stride samples.

As in EnCodec (Défossez et al. 2022, arXiv 2210.13438) and similar codecs. Padding is by reflection;
in a causal layer all of it is on the left, so that no frame depends on later samples.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PaddedConv1d(nn.Conv1d):
    """A convolution that pads by reflection so that L samples give ceil(L / stride) frames.

    For even kernels the left side gets one sample more. On the right, padding that completes the
    last window is added. An input shorter than the padding is first extended with zeros.

    Attributes:
        left, right: samples of padding, without those that complete the last window.

    Args:
        causal: all the padding is on the left.
        group_norm: a group norm over channels and time follows (EnCodec at 48 kHz).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        bias: bool = True,
        causal: bool = False,
        group_norm: bool = False,
        groups: int = 1,
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, groups=groups, bias=bias)
        total = kernel_size - stride
        self.right = 0 if causal else total // 2
        self.left = total - self.right
        self.norm = nn.GroupNorm(1, out_channels) if group_norm else None

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, C, L) -> (B, C', ceil(L / stride))."""
        right = self.right + -waveform.shape[-1] % self.stride[0]
        if self.left or right:
            waveform = _pad_reflect(waveform, self.left, right)
        frames = super().forward(waveform)
        return frames if self.norm is None else self.norm(frames)


def _pad_reflect(waveform: Tensor, left: int, right: int) -> Tensor:
    if torch.compiler.is_exporting() or torch.jit.is_tracing():  # lengths are not numbers yet
        return F.pad(waveform, (left, right), mode="reflect")
    missing = max(left, right) - waveform.shape[-1] + 1
    if missing > 0:
        padded = _pad_reflect(F.pad(waveform, (0, missing)), left, right)
        return padded[..., : padded.shape[-1] - missing]
    if torch.is_grad_enabled():
        return F.pad(waveform, (left, right), mode="reflect")
    pieces = [waveform]  # the same values: PyTorch's own takes ten times as long on a CPU
    if left:
        pieces.insert(0, waveform[..., 1 : left + 1].flip(-1))
    if right:
        pieces.append(waveform[..., -right - 1 : -1].flip(-1))
    return torch.cat(pieces, dim=-1)


class TrimmedConvTranspose1d(nn.ConvTranspose1d):
    """A transposed convolution whose T frames give T * stride samples; the kernel has two strides.

    The surplus samples are trimmed: all on the right if `causal`, else half on each side (one more
    on the left if it is odd). A group norm is applied before trimming.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        causal: bool = False,
        group_norm: bool = False,
    ):
        super().__init__(in_channels, out_channels, 2 * stride, stride)
        self.right = stride if causal else stride // 2
        self.left = stride - self.right
        self.norm = nn.GroupNorm(1, out_channels) if group_norm else None

    def forward(self, frames: Tensor) -> Tensor:
        """(B, C, T) -> (B, C', T * stride)."""
        samples = super().forward(frames)
        if self.norm is not None:
            samples = self.norm(samples)
        return samples[..., self.left : samples.shape[-1] - self.right]


class LeftPaddedConv1d(nn.Conv1d):
    """A convolution that, if causal, pads on the left alone (FocalCodec, NanoCodec).

    Attributes:
        left: samples of padding, one less than the (dilated) kernel, if causal.
        right: zeros on the right beside the padding of both sides, 0 or 1, for "same" padding.

    Args:
        causal: L samples give ceil(L / stride) frames, each of the samples up to its first one.
        padding: of both sides otherwise, as in `nn.Conv1d`.
        mode: of the padding if causal: "replicate" repeats the first sample, "constant" is zeros.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        causal: bool = False,
        padding: int | str = 0,
        mode: str = "replicate",
    ):
        padding, self.right = 0 if causal else padding, 0
        if padding == "same":  # as PyTorch, which warns where the two sides differ
            padding, self.right = divmod((kernel_size - 1) * dilation, 2)
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )
        self.left, self.mode = (kernel_size - 1) * dilation if causal else 0, mode

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, C, L) -> (B, C', T)."""
        if self.left:
            hidden = F.pad(hidden, (self.left, 0), self.mode)
        elif self.right:
            hidden = F.pad(hidden, (0, self.right))
        return super().forward(hidden)
