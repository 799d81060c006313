"""Clips of different lengths in one batch of an encoder, with the same latents as one by one.

The padding of a shorter clip must not influence it. Each convolution pads every clip at its own
end: SEANet's by reflection, DAC's with zeros; a backward LSTM starts at each clip's own end. So the
latents equal those of the single clips, up to rounding in the last bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from audiotok.nn import convnext, dac, seanet
from audiotok.nn.convolutions import PaddedConv1d
from audiotok.nn.soundstream import SoundStreamEncoder

_BY_FRAME = (seanet.ELU, seanet.Snake, dac.Snake, convnext.FrameNorm, convnext.Perceptron)
MIN_FRAMES = 9  # shorter clips take other code paths in padding and LSTM


def encode(encoder: nn.Module, waveform: Tensor, lengths: Sequence[int]) -> Tensor:
    """Waveforms (B, C, L) -> latents (B, D, ceil(L / hop_length)), undefined after each clip.

    Args:
        encoder: SEANet's (also a pooled one), DAC's, ConvNeXt's or SoundStream's, without group
            norm.
        lengths: samples of each clip, at most L and at least MIN_FRAMES frames.
    """
    ends = torch.tensor(lengths, device=waveform.device)
    if isinstance(encoder, SoundStreamEncoder):  # causal: only its own zeros are before an end
        return encoder(_cut(waveform, ends))
    missing = -waveform.shape[-1] % encoder.hop_length
    if getattr(encoder, "zero_filled", False):
        waveform = _cut(waveform, ends)
        ends = -(-ends // encoder.hop_length) * encoder.hop_length
    waveform = F.pad(waveform, (0, missing))  # whole frames are faster
    return _run(encoder.layers, waveform, ends)[0]


def _run(layer: nn.Module, hidden: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """The output of a layer for (B, C, L) whose clips end at `ends`, and the new ends."""
    if isinstance(layer, PaddedConv1d):
        return _reflecting(layer, hidden, ends)
    if isinstance(layer, nn.Conv1d):
        hidden = layer(_cut(hidden, ends))
        reach = layer.dilation[0] * (layer.kernel_size[0] - 1)
        return hidden, (ends + 2 * layer.padding[0] - reach - 1) // layer.stride[0] + 1
    if isinstance(layer, seanet.ResidualUnit):
        inner = _run(layer.block, hidden, ends)[0]
        return layer.shortcut(hidden) + inner, ends  # the shortcut sees one sample at a time
    if isinstance(layer, convnext.ConvNeXtUnit):
        return hidden + _run(layer.block, hidden, ends)[0], ends
    if isinstance(layer, dac.ResidualUnit):
        return hidden + _run(layer.layers, hidden, ends)[0], ends
    if isinstance(layer, seanet.ResidualLSTM):
        return _recurrent(layer, hidden, ends), ends
    if isinstance(layer, _BY_FRAME):
        return layer(hidden), ends
    if isinstance(layer, dac.EncoderBlock):
        return _run(layer.layers, hidden, ends)
    if isinstance(layer, nn.Sequential):
        for inner in layer:
            hidden, ends = _run(inner, hidden, ends)
        return hidden, ends
    raise TypeError(f"clips of different lengths cannot go through a {type(layer).__name__}")


def _cut(hidden: Tensor, ends: Tensor) -> Tensor:
    """Sets everything after the end of each clip to zero."""
    inside = torch.arange(hidden.shape[-1], device=hidden.device) < ends[:, None]
    return hidden * inside[:, None]


def _reflecting(layer: PaddedConv1d, hidden: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
    """The convolution of each clip, padded by reflection at its own end."""
    if layer.norm is not None:
        raise TypeError("a group norm over time mixes clips of different lengths")
    stride, left = layer.stride[0], layer.left
    width = -(-hidden.shape[-1] // stride) * stride + layer.right  # that the longest clip needs
    most = layer.right + stride - 1  # samples that may be missing at an end
    if most:
        hidden = F.pad(hidden, (0, width + most - hidden.shape[-1]))
        behind = torch.arange(most, device=hidden.device)
        channels = hidden.shape[1]
        target = (ends[:, None] + behind)[:, None].expand(-1, channels, -1)
        source = (ends[:, None] - 2 - behind)[:, None].expand(-1, channels, -1)
        hidden = hidden.scatter(2, target, hidden.gather(2, source))[..., :width]
    if left:
        hidden = torch.cat([hidden[..., 1 : left + 1].flip(-1), hidden], dim=-1)
    frames = F.conv1d(hidden, layer.weight, layer.bias, stride, groups=layer.groups)
    return frames, -(-ends // stride)


def _recurrent(layer: seanet.ResidualLSTM, hidden: Tensor, ends: Tensor) -> Tensor:
    if not layer.lstm.bidirectional:
        return layer(hidden)  # a forward LSTM reads the padding after the clip
    packed = pack_padded_sequence(hidden.permute(2, 0, 1), ends.cpu(), enforce_sorted=False)
    output, _ = pad_packed_sequence(layer.lstm(packed)[0], total_length=hidden.shape[-1])
    return output.permute(1, 2, 0) + hidden.repeat(1, 2, 1)
