"""NanoCodec against outputs of NeMo's modules, its format, its quantizer, and what it refuses."""

import json
import math
import tarfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from support import official_weights
from support import tiny_nanocodec as tiny
from support.promises import OF_THE_CARD

import audiotok
from audiotok.codecs import nanocodec
from audiotok.codecs.nanocodec import NanoCodec
from audiotok.errors import CheckpointError
from audiotok.nn.nanocodec import ShrunkScalarQuantizer
from audiotok.testing import check_codec

GOLDEN = Path(__file__).parents[1] / "official" / "golden" / "nanocodec.safetensors"
NAME = "nanocodec-0.6k"
ROUNDING = 1e-4  # of the peak: the official latents themselves are 6e-5 from those in fp64


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    return audiotok.load(NAME, tiny.save(tmp_path_factory.mktemp("nano") / "nano.nemo"))


def _rounded_surely(quantizer, latents):
    """(B, T): no dimension is so near to the middle of two levels that fp32 may decide it."""
    bounded = quantizer._bound(latents.double())
    return ((bounded - bounded.floor() - 0.5).abs() > ROUNDING).all(1)


def test_the_values_of_the_official_code(tmp_path):
    """Of NVIDIA/NeMo at the commit in the file; the weights come from a seed."""
    with safe_open(GOLDEN, "pt") as file:
        kept, about = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    assert about["commit"] == "8cfedd7203462cb251a914e700e5605444277561"
    state = official_weights.state(kept, json.loads(about["shapes"]), 0)
    codec = audiotok.load(NAME, tiny.pack(tmp_path / "a.nemo", state, official_weights.NANO))
    waveform = official_weights.sound(22050, 8)
    expected = torch.stack([kept[f"codes {k}"].long() for k in range(4)])[None]
    with torch.inference_mode():
        latents, codes = codec._encode_latents(waveform), codec._encode(waveform)
        sound = codec._decode(expected)
    given = kept["latents"]
    assert (latents[0] - given).abs().max() <= ROUNDING * given.abs().max()
    groups = zip(codec.network.quantizer.quantizers, latents.chunk(4, 1), strict=True)
    sure = torch.stack([_rounded_surely(*group) for group in groups], 1)
    assert torch.equal(codes[sure], expected[sure]) and sure.double().mean() > 0.98
    assert all(row.unique().numel() >= 50 for row in codes[0])
    assert (sound[0, 0, :4000] - kept["sound"]).abs().max() <= ROUNDING * float(about["peak"])


def test_keeps_the_promises_of_a_card(codec):
    check_codec(codec, OF_THE_CARD)


def test_cards():
    rates = {card.name: (card.num_codebooks, round(card.bitrate)) for card in NanoCodec.CARDS}
    assert rates == {
        "nanocodec-0.6k": (4, 599),
        "nanocodec-1.78k": (13, 1784),
        "nanocodec-1.89k": (8, 1891),
    }
    assert all(card.restricted for card in NanoCodec.CARDS)  # NVIDIA's own licence
    assert audiotok.codec.registry.find_card("nanocodec").name == NAME


def test_random_weights(monkeypatch):
    encoder, decoder, quantizer = nanocodec.sizes(NanoCodec.CARDS[0])
    encoder = encoder.model_copy(update={"base_channels": 8})
    decoder = decoder.model_copy(update={"base_channels": 64})
    monkeypatch.setattr(nanocodec, "sizes", lambda card: (encoder, decoder, quantizer))
    one, two = (audiotok.load(NAME, random_weights=True) for _ in range(2))
    noise = torch.randn(1, 44_100, generator=torch.Generator().manual_seed(1))
    tokens = one.encode((noise.cumsum(-1).sin(), 22_050))
    assert tokens.codes.shape == (1, 4, 25)
    assert all(row.unique().numel() > 5 for row in tokens.codes[0])
    assert torch.equal(one.decode(tokens).waveform, two.decode(tokens).waveform)


@pytest.mark.parametrize("card", NanoCodec.CARDS, ids=lambda card: card.name)
def test_random_weights_are_as_many_as_the_published_ones(card):
    parts = nanocodec.sizes(card)
    with torch.device("meta"):
        network = nanocodec.NanoCodecNetwork(*parts)
    size = 4 * sum(weight.numel() for weight in network.parameters())
    assert size == pytest.approx(card.weights.size_about, rel=0.05)
    assert math.prod(parts[0].down_sample_rates) == card.hop_length
    assert math.prod(parts[2].num_levels_per_group) == card.codebook_sizes[0]


def test_the_quantizer_is_its_formula():
    """Digit by digit in Python's floats, with values far outside of the bound."""
    quantizer = ShrunkScalarQuantizer((9, 8, 8, 7))
    latents = 3 * torch.randn(1, 4, 200, generator=torch.Generator().manual_seed(0))
    codes, expected = quantizer.encode(latents), []
    for row in latents[0].T.tolist():
        code, step = 0, 1
        for x, size in zip(row, (9, 8, 8, 7), strict=True):
            half = (size - 1) / 2 * (1 - 1e-3)
            offset = 0.5 if size % 2 == 0 else 0.0
            level = round(half * math.tanh(x + math.tan(offset / half)) - offset) + size // 2
            assert 0 <= level < size
            code, step = code + level * step, step * size
        expected.append(code)
    assert codes[0, 0].tolist() == expected and codes.unique().numel() > 100
    latents[0, 2, 7] = torch.inf
    assert quantizer.encode(latents)[0, 0, 7] == -1
    digits = quantizer.decode(codes)[0] * torch.tensor([4.0, 4, 4, 3])[:, None]
    steps = torch.tensor([1.0, 9, 72, 576])[:, None]
    again = ((digits + torch.tensor([4.0, 4, 4, 3])[:, None]) * steps).sum(0)
    assert again.tolist() == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s, c: s.pop("audio_encoder.pre_conv.conv.bias"),
            "1 missing: audio_encoder.pre_conv.bias",
        ),
        (lambda s, c: s.update({"audio_decoder.x": torch.ones(1)}), "1 extra: audio_decoder.x"),
        (
            lambda s, c: c["vector_quantizer"].update(num_levels_per_group=[8, 7, 6, 6]),
            "is not nanocodec-0.6k: it has 22050 Hz, 1764 samples to a frame and 1764 from it, 4 "
            "codebooks of 2016, the card says 22050 Hz, 1764 samples to a frame and 1764 from it",
        ),
        (
            lambda s, c: s["vector_quantizer.fsqs.2.num_levels"].add_(1),
            r"vector_quantizer.fsqs.2.num_levels is not that of the levels \(9, 8, 8, 7\)",
        ),
        (
            lambda s, c: c["audio_encoder"].update(_target_="nemo.MultiBandMelEncoder"),
            "its audio_encoder is MultiBandMelEncoder, expected HiFiGANEncoder",
        ),
        (lambda s, c: c.pop("vector_quantizer"), "its vector_quantizer is None, expected Group"),
        (lambda s, c: c["audio_decoder"].update(size=1), "audio_decoder: 1 validation error"),
    ],
)
def test_what_does_not_fit_is_named(change, message, tmp_path):
    with pytest.raises(CheckpointError, match=message) as refusal:
        audiotok.load(NAME, tiny.save(tmp_path / "nano.nemo", change))
    assert "\n" not in str(refusal.value)


def test_other_archives_are_refused(tmp_path):
    path = tmp_path / "nano.nemo"
    path.write_bytes(b"no archive")
    with pytest.raises(CheckpointError, match=r"nano\.nemo is no \.nemo file, or damaged"):
        audiotok.load(NAME, path)
    with tarfile.open(path, "w:") as archive:
        archive.add(__file__, "model_config.yaml")
    with pytest.raises(CheckpointError, match=r"holds no model_weights\.ckpt: expected a \.nemo"):
        audiotok.load(NAME, path)
    tiny.pack(path, {"x": torch.ones(1)}, [1])
    with pytest.raises(CheckpointError, match=r"model_config\.yaml is no mapping"):
        audiotok.load(NAME, path)
    tiny.pack(path, {"x": test_cards}, {})
    with pytest.raises(CheckpointError, match=r"nano\.nemo is no \.nemo file, or damaged"):
        audiotok.load(NAME, path)
