"""SoundStream: lengths, causality, and the same latents and sound in pieces."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from audiotok.nn.mini import MiniConfig, MiniNetwork
from audiotok.nn.pieces import Chain, pieces

RVQ = {"kind": "rvq", "num_codebooks": 2, "codebook_size": 16}
SIZES = {"strides": (4, 5, 2), "sample_rate": 8000, "dimension": 8}
HOP = 40


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    small = {"width": 8, "group_width": 4}
    return MiniNetwork(MiniConfig(quantizer=RVQ, soundstream=small, **SIZES)).double().eval()


def sound(length):
    return torch.randn(2, 1, length, dtype=torch.float64)


@torch.no_grad()
def test_lengths(network):
    for length in (1, 39, 40, 41, 400):
        output = network(sound(length), quantize=False)
        frames = math.ceil(length / HOP)
        assert output.latents.shape == (2, 8, frames)
        assert output.waveform.shape == (2, 1, frames * HOP)


@torch.no_grad()
def test_no_frame_depends_on_later_samples(network):
    waveform = sound(10 * HOP)
    changed = torch.cat([waveform[..., : 6 * HOP], sound(4 * HOP)], dim=-1)
    before, after = network.encoder(waveform), network.encoder(changed)
    torch.testing.assert_close(before[..., :6], after[..., :6], rtol=0, atol=1e-12)
    assert (before[..., 6:] - after[..., 6:]).abs().max() > 1e-4
    decode = lambda latents: network.head(network.backbone(latents))  # noqa: E731
    cut = decode(before[..., :6])
    torch.testing.assert_close(decode(before)[..., : 6 * HOP], cut, rtol=0, atol=1e-12)


@torch.no_grad()
def test_layers_are_those_of_a_plain_implementation(network):
    """Written out with functions, from the description of Lyra's layers."""

    def conv(layer, hidden, stride=1, dilation=1):
        left = (layer.weight.shape[-1] - 1) * dilation + 1 - stride
        groups = hidden.shape[1] // layer.weight.shape[1]
        hidden = F.pad(hidden, (left, 0))
        return F.conv1d(hidden, layer.weight, layer.bias, stride, 0, dilation, groups)

    def act(hidden):
        return torch.where(hidden < 0, 0.3 * hidden, hidden)

    layers = [each for each in network.encoder.modules() if isinstance(each, torch.nn.Conv1d)]
    following = iter(layers)
    waveform = sound(5 * HOP)
    hidden = conv(next(following), waveform, 4)
    for stride in (5, 2):
        for dilation in (1, 3, 9):
            inner = conv(next(following), act(hidden), dilation=dilation)
            inner = act(conv(next(following), inner))
            hidden = hidden + conv(next(following), inner)
        hidden = conv(next(following), act(hidden), stride)
    expected = conv(next(following), act(hidden))
    assert next(following, None) is None
    torch.testing.assert_close(network.encoder(waveform), expected, rtol=0, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("steps", [(1,), (3, 0, 1), (64,), (1000,)])
def test_pieces(network, steps):
    for length in (1, 39, 40, 207):
        waveform = sound(length)
        feed, found, start = pieces(network.encoder), [], 0
        while start < length:
            size = min(steps[len(found) % len(steps)], length - start)
            found.append(feed(waveform[..., start : start + size], start + size == length))
            start += size
        latents = network.encoder(waveform)
        torch.testing.assert_close(torch.cat(found, -1), latents, rtol=1e-9, atol=1e-10)
    decoder = Chain([pieces(network.backbone), pieces(network.head)])
    found = [decoder(latents[..., i : i + 1], i == latents.shape[-1] - 1) for i in range(6)]
    expected = network.head(network.backbone(latents))
    torch.testing.assert_close(torch.cat(found, -1), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_filters": 8}, "num_filters is of SEANet and Vocos: leave it out with soundstream"),
        (
            {"convnext": {"widths": (8, 8, 8), "depths": (1, 1, 1)}},
            "convnext and soundstream exclude each other",
        ),
    ],
)
def test_networks_are_not_mixed(changes, message):
    with pytest.raises(ValidationError, match=message):
        MiniConfig(quantizer=RVQ, soundstream={}, **SIZES, **changes)
