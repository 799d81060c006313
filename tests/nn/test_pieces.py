"""Layers fed piece by piece against the same layers on the whole, in double precision."""

import pytest
import torch
from torch import nn

from audiotok.nn.convnext import ConvNeXtEncoder, ConvNeXtSizes
from audiotok.nn.convolutions import PaddedConv1d, TrimmedConvTranspose1d
from audiotok.nn.pieces import pieces
from audiotok.nn.seanet import ResidualLSTM, ResidualUnit, SEANetDecoder, SEANetEncoder

LAYERS = {
    "conv 7": lambda causal: PaddedConv1d(3, 4, 7, causal=causal),
    "conv 1": lambda causal: PaddedConv1d(3, 4, 1, causal=causal),
    "conv 10 by 5": lambda causal: PaddedConv1d(3, 4, 10, 5, causal=causal),
    "conv 4 by 2": lambda causal: PaddedConv1d(3, 4, 4, 2, causal=causal),
    "transposed 5": lambda causal: TrimmedConvTranspose1d(3, 4, 5, causal=causal),
    "transposed 2": lambda causal: TrimmedConvTranspose1d(3, 4, 2, causal=causal),
    "residual": lambda causal: ResidualUnit(4, causal=causal),
    "lstm": lambda causal: ResidualLSTM(3, 2, stepwise=causal),
    "encoder": lambda causal: SEANetEncoder(5, 4, (2, 4), 2, channels=3, causal=causal),
    "encoder with Snake": lambda causal: SEANetEncoder(5, 4, (2, 3), channels=3, snake=causal),
    "decoder": lambda causal: SEANetDecoder(3, 4, (2, 4), causal=causal, stepwise=True),
}


def fed(layer, hidden, sizes):
    feed, result, start, turn = pieces(layer), [], 0, 0
    while start < hidden.shape[-1]:
        stop = start + sizes[turn % len(sizes)]
        result.append(feed(hidden[..., start:stop], stop >= hidden.shape[-1]))
        start, turn = stop, turn + 1
    return torch.cat(result, -1)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_pieces_make_the_whole(name, causal):
    torch.manual_seed(0)
    layer = LAYERS[name](causal).double().eval()
    channels = 4 if name == "residual" else 3
    for length in (1, 2, 5, 9, 16, 41, 47):
        hidden = torch.randn(2, channels, length, dtype=torch.float64)
        whole = layer(hidden.clone())
        for sizes in ((1,), (2,), (3, 0, 1), (8,), (7, 16), (100,)):
            result = fed(layer, hidden, sizes)
            torch.testing.assert_close(result, whole, rtol=1e-9, atol=1e-10)


@torch.no_grad()
def test_pieces_of_convnext():
    torch.manual_seed(0)
    sizes = ConvNeXtSizes(widths=(6, 8), depths=(1, 1))
    encoder = ConvNeXtEncoder(5, (3, 2), sizes).double().eval()
    for length in (1, 5, 47):
        waveform = torch.randn(2, 1, length, dtype=torch.float64)
        for steps in ((1,), (3, 0, 1), (16,), (100,)):
            found = fed(encoder, waveform, steps)
            torch.testing.assert_close(found, encoder(waveform), rtol=1e-9, atol=1e-10)


def test_a_causal_layer_keeps_a_bounded_past():
    feed = pieces(PaddedConv1d(1, 1, 10, 5, causal=True))
    with torch.no_grad():
        for _ in range(20):
            feed(torch.randn(1, 1, 50), False)
    assert feed.waiting.shape[-1] <= 10


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.GroupNorm(1, 4), "GroupNorm needs the whole sound"),
        (PaddedConv1d(1, 4, 3, group_norm=True), "a group norm needs the whole sound"),
        (ResidualLSTM(4, 1, bidirectional=True), "a bidirectional LSTM needs the whole sound"),
    ],
)
def test_what_sees_all_of_the_sound_is_refused(layer, message):
    with pytest.raises(ValueError, match=message):
        pieces(layer)
