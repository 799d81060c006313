"""Multiply-accumulates and parameters by hand, of layers and of codecs."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

import audiotok
from audiotok.sound.audio import Audio
from audiotok.tasks import Item, get
from audiotok.tasks._macs import Counter
from audiotok.tasks.cost import measure

TINY = Path(__file__).parents[1] / "support" / "tiny_codec.py"


def count(network, *inputs):
    with Counter(network.eval()) as counter, torch.inference_mode():
        network(*inputs)
    return counter.macs


def test_convolutions():
    sound = torch.randn(2, 6, 100)
    assert count(nn.Conv1d(6, 4, 7, stride=3), sound) == 2 * 32 * 7 * 6 * 4
    assert count(nn.Conv1d(6, 4, 7, groups=2, padding=3), sound) == 2 * 100 * 7 * 3 * 4
    assert count(nn.ConvTranspose1d(6, 4, 8, stride=4), sound) == 2 * 100 * 8 * 6 * 4


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_recurrent_layers(kind, gates, directions, layers):
    """Each step multiplies its input and its state with one matrix per gate."""
    network = kind(6, 8, layers, batch_first=True, bidirectional=directions == 2)
    inputs = [6] + [8 * directions] * (layers - 1)
    expected = sum(2 * 11 * directions * gates * 8 * (width + 8) for width in inputs)
    assert count(network, torch.randn(2, 11, 6)) == expected


def test_attention():
    """Four projections, and per head scores and their sums; fused or not."""
    latents = torch.randn(1, 10, 16)
    expected = 4 * 10 * 16 * 16 + 2 * 10 * 10 * 16
    assert count(nn.MultiheadAttention(16, 4, batch_first=True), *[latents] * 3) == expected
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    assert count(layer, latents) == expected + 2 * 10 * 16 * 32
    heads = torch.randn(1, 4, 10, 4)
    with Counter(nn.Identity()) as counter:
        nn.functional.scaled_dot_product_attention(heads, heads, heads)
    assert counter.macs == 2 * 4 * 10 * 10 * 4
    assert torch.backends.mha.get_fastpath_enabled()


def test_parameters_are_seen_through_views():
    network = nn.ModuleDict({"used": nn.Linear(4, 3), "unused": nn.Linear(5, 5)})
    with Counter(network) as counter:
        torch.randn(3) @ network["used"].weight.detach().t()[:2].t()
    assert counter.parameters == 12


def test_a_codec_by_hand():
    """One second is 100 frames; its own search is elementwise and does not count."""
    codec = audiotok.load(str(TINY))
    row = measure(codec)
    convolution, linear, codebooks = 480 * 4 + 4, 4 * 240 + 240, 6 * 4 + 10 * 4
    assert row == {
        "parameters": pytest.approx((convolution + linear + codebooks) / 1e6),
        "parameters_encode": pytest.approx((convolution + codebooks) / 1e6),
        "parameters_decode": pytest.approx((linear + codebooks) / 1e6),
        "macs": pytest.approx((100 * 480 * 4 + 100 * 4 * 240) / 1e9),
        "macs_encode": pytest.approx(100 * 480 * 4 / 1e9),
        "macs_decode": pytest.approx(100 * 4 * 240 / 1e9),
    }


def test_searches_count_whoever_does_them(monkeypatch):
    """Encode with its search is the encoder and the product of latents and codewords."""
    codec = audiotok.load("wavtokenizer-mini")
    monkeypatch.delenv("AUDIOTOK_KERNELS", raising=False)
    row = measure(codec)
    assert "AUDIOTOK_KERNELS" not in os.environ
    monkeypatch.setenv("AUDIOTOK_KERNELS", "reference")
    assert measure(codec) == row
    assert os.environ["AUDIOTOK_KERNELS"] == "reference"
    second = torch.randn(1, codec.card.channels, codec.card.sample_rate_in)
    with Counter(codec.network) as counter, torch.inference_mode():
        codec._encode(second)  # by the reference, whose search is no matrix product
    frames, (size, dimension) = codec.num_frames(second.shape[-1]), codec.codebook(0).shape
    search = row["macs_encode"] * 1e9 - counter.macs
    assert search == pytest.approx(frames * size * dimension)


def test_the_task_counts_a_codec_once(monkeypatch):
    task = get("cost")
    codec = audiotok.load(str(TINY))
    sound = Audio(torch.rand(1, 1600), 16_000)
    row = task.observe(codec, sound, None)
    monkeypatch.setattr("audiotok.tasks.cost.measure", None)
    assert task.observe(codec, sound, None) == row
    assert set(row) == {column.name for column in task.columns}
    item = Item(None, sound, sound, observed=row)
    assert pickle.loads(pickle.dumps(task)).score(item) == row
    assert task.score(Item(None, sound, sound)) == {} and not task.timing


def test_classical_codecs_have_no_network():
    assert measure(audiotok.load("mulaw")) == {}
