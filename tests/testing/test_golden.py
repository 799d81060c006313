"""Golden outputs: the codecs that ship equal them, and no wrong sign or activation does."""

import json
import math
import os
import shutil
import struct
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

import audiotok
from audiotok.codec import checkpoints
from audiotok.testing import golden

SHIPPED = ("wavtokenizer-mini", "rvq-small", "lm-spt-mini")
LYRA = Path(os.environ.get("AUDIOTOK_LYRA") or checkpoints.local_folder("lyra-v2"))
lyra = pytest.mark.skipif(
    not (LYRA / "quantizer.tflite").is_file(), reason=f"no Lyra in {LYRA}: set AUDIOTOK_LYRA"
)


def different(codec):
    return {one.what for one in golden.compare(codec) if one.state == "different"}


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_equals_its_golden_outputs(name):
    found = golden.compare(audiotok.load(name))
    assert [one.what for one in found] == [
        "weights",
        "golden latents",
        "golden codes",
        "golden sound",
    ]
    assert {one.state for one in found} == {"equal"}, found


@lyra
def test_lyra_equals_its_golden_outputs():
    found = golden.compare(audiotok.load("lyra-v2", checkpoint=LYRA))
    assert {one.state for one in found} == {"equal"}, found


@lyra
@pytest.mark.parametrize(
    ("file", "what"),
    [("soundstream_encoder.tflite", "golden latents"), ("lyragan.tflite", "golden sound")],
)
def test_one_activation_changed_in_a_model_of_lyra(file, what, tmp_path):
    folder = shutil.copytree(LYRA, tmp_path / "lyra")
    model, slope = (folder / file).read_bytes(), struct.pack("<f", 0.3)
    assert model.count(slope) == 22  # of its LeakyReLU layers
    (folder / file).write_bytes(model.replace(slope, struct.pack("<f", 0.0), 1))
    assert different(audiotok.load("lyra-v2", checkpoint=folder)) >= {"weights", what}


@pytest.fixture
def codec():
    return audiotok.load("rvq-small")


@pytest.fixture
def vocos():
    return audiotok.load("wavtokenizer-mini")


def test_another_slope_of_an_activation(codec):
    """The same weights, which alone show nothing."""
    layers = (codec.network.encoder.layers[-2], codec.network.backbone[-1])
    for layer, expected in zip(layers, ("golden latents", "golden sound"), strict=True):
        layer.negative_slope = 0.25
        assert expected in different(codec) and "weights" not in different(codec)
        layer.negative_slope = 0.3


def test_an_activation_swapped_in_the_backbone(vocos, monkeypatch):
    codec = vocos
    monkeypatch.setattr(functional, "gelu", functional.relu)
    for module in list(codec.network.backbone.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.GELU):
                setattr(module, name, nn.ReLU())
    assert different(codec) == {"golden sound"}


def test_an_activation_swapped_in_the_encoder(vocos, monkeypatch):
    monkeypatch.setattr(functional, "elu", lambda hidden, **_: functional.relu(hidden))
    assert different(vocos) == {"golden latents", "golden codes"}


@torch.no_grad()
def test_a_sign_flipped_in_any_part(codec):
    for part, expected in (
        (codec.network.encoder, "golden latents"),
        (codec.network.backbone, "golden sound"),
        (codec.network.head, "golden sound"),
    ):
        weight = next(p for p in part.parameters() if p.ndim > 1)
        weight[0].neg_()  # one channel
        assert {"weights", expected} <= different(codec)
        weight[0].neg_()
    assert different(codec) == set()


def test_a_sign_flipped_between_codebooks(codec, monkeypatch):
    """The first codebook alone does not show it."""
    found = codec.network.quantizer.encode
    monkeypatch.setattr(
        codec.network.quantizer, "encode", lambda x, *rest: torch.cat(
            [found(x, *rest)[:, :1], found(-x, *rest)[:, 1:]], 1
        ),
    )  # fmt: skip
    assert "golden codes" in different(codec)


def test_latents_that_are_not_finite_are_different(codec):
    with torch.no_grad():
        codec.network.head.bias[0] = math.nan
    assert "golden sound" in different(codec)


def test_what_has_no_golden_outputs(tmp_path, monkeypatch):
    (one,) = golden.compare(audiotok.load("mulaw"))
    assert one.state == "unavailable" and "none are stored for mulaw: only lm-spt-mini" in one.why
    stored = json.loads((golden.FOLDER / "rvq-small.json").read_text())
    stored["sound"]["sha256"] = "0" * 64
    (tmp_path / "rvq-small.json").write_text(json.dumps(stored))
    monkeypatch.setattr(golden, "FOLDER", tmp_path)
    (one,) = golden.compare(audiotok.load("rvq-small"))
    assert one.state == "unavailable" and "is another sound here" in one.why


def test_they_are_made_as_they_are_stored(tmp_path):
    path = golden.write("rvq-small", tmp_path)
    made, stored = (json.loads((f / path.name).read_text()) for f in (tmp_path, golden.FOLDER))
    assert made["codes"] == stored["codes"] and made["sound"] == stored["sound"]
    assert path.stat().st_size < 10_000
