"""Checkpoints as training loops write them, and folders as downloads leave them."""

import argparse
import pathlib
import re
from collections import OrderedDict

import numpy as np
import pytest
import torch

from audiotok.codec import checkpoints, training_files
from audiotok.codec.card import CodecCard, Weights
from audiotok.errors import CheckpointError

STATE = {"conv.weight": torch.ones(2, 3), "conv.bias": torch.zeros(2), "scale": torch.ones(1)}


def prefixed(name):
    return {f"{name}.{key}": value for key, value in STATE.items()}


OTHER = {"layer.weight": torch.ones(1)}
USUAL = {
    "plain": STATE,
    "ordered": OrderedDict(STATE),
    "parameters": {key: torch.nn.Parameter(value) for key, value in STATE.items()},
    "numpy scalar beside": {"state_dict": STATE, "best": np.float64(0.5), "n": np.int32(3)},
    "numpy array beside": {"state_dict": STATE, "rng": np.arange(3), "flag": np.bool_(True)},
    "namespace beside": {"model": STATE, "args": argparse.Namespace(lr=1, out=pathlib.Path("x"))},
    "module. in front": prefixed("module"),
    "module. under state_dict": {"state_dict": prefixed("module"), "epoch": 3},
    "compiled and parallel": prefixed("module._orig_mod"),
    "generator. in front": prefixed("generator"),
    "model. in front, Lightning": {"state_dict": prefixed("model"), "hyper_parameters": {"a": 1}},
    "with its discriminators": {
        **prefixed("generator"),
        "discriminator.conv.weight": STATE["scale"],
    },
    "under model": {"model": STATE, "optimizer": {"state": {0: {"exp_avg": torch.ones(1)}}}},
    "under ema": {"ema": STATE, "step": torch.tensor(7)},
    "under generator": {"generator": STATE, "discriminator": OTHER, "mpd": OTHER},
    "under any name": {"codec": STATE, "steps": 3, "optim_g": {"a": torch.ones(1)}},
    "two levels down": {"checkpoint": {"model": STATE}},
    "state_dict and ema": {"state_dict": STATE, "ema_state_dict": OTHER},
    "flat, with a step": {**STATE, "step": 3},
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("name", USUAL)
def test_the_state_dict_is_found(tmp_path, name, legacy):
    torch.save(USUAL[name], tmp_path / "c.pth", _use_new_zipfile_serialization=not legacy)
    state, metadata = checkpoints.read_state(tmp_path / "c.pth")
    assert state.keys() == STATE.keys() and metadata == {}
    assert all(torch.equal(state[key], value) for key, value in STATE.items())
    assert argparse.Namespace not in torch.serialization.get_safe_globals()


def test_a_safetensors_file_of_a_wrapped_network(tmp_path):
    checkpoints.save(tmp_path / "c.safetensors", prefixed("module"), {"name": "x"})
    state, metadata = checkpoints.read_state(tmp_path / "c.safetensors")
    assert state.keys() == STATE.keys() and metadata == {"name": "x"}
    checkpoints.save(tmp_path / "lm.safetensors", prefixed("model"), {})
    assert checkpoints.read_state(tmp_path / "lm.safetensors")[0].keys() == prefixed("model").keys()


class Loop:
    """A class of a training loop."""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"model": STATE, "ema": OTHER},
            r"several networks: 'model' \(3 tensors\), 'ema' \(1 tens",
        ),
        (
            {"model": STATE, "ema": OTHER},
            r"torch.load\(FILE, weights_only=True\)\['model'\], NEW\)",
        ),
        (
            {"epoch": 3, "best": 0.5},
            r"no state dict: .* it holds a dict of 'epoch' \(int\), 'best'",
        ),
        ([1, 2], "it holds one list"),
        ({"state_dict": STATE, "loop": Loop()}, r"could run code \(\S*test_training_files.Loop\)"),
        (
            {"x": Loop()},
            r"save the state dict alone where it was written: torch.save\(model.state_",
        ),
        (torch.nn.Linear(1, 1), r"could run code \(torch.nn.modules.linear.Linear"),
        ({"model": STATE, "f": np.array([Loop()], dtype=object)}, "could run code"),
    ],
)
def test_what_is_in_the_file_and_what_to_do(tmp_path, content, message):
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoints.read_state(tmp_path / "c.pth")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


# --- folders ---------------------------------------------------------------------------------


def card(file="model.safetensors"):
    return CodecCard(
        name="tiny-a", family="tiny", description="", sample_rate_in=16000, sample_rate_out=16000,
        hop_length=4, codebook_sizes=(4,), licence_code="MIT", verified="no",
        weights=Weights(repository="some/one", file=file),
    )  # fmt: skip


def cached(root, files, commit="abc", main=True):
    """`models--some--one` with links into blobs, as the Hub's client writes it."""
    folder = root / "models--some--one"
    for number, (name, content) in enumerate(files.items()):
        blob = folder / "blobs" / f"{commit}{number}"
        link = folder / "snapshots" / commit / name
        for path in (blob, link):
            path.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link.symlink_to(blob)
    if main:
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
    return folder


def test_folders_of_the_hub(tmp_path):
    files = {"model.safetensors": b"w", "config.json": b"{}"}
    folder = cached(tmp_path, files)
    expected = folder / "snapshots" / "abc" / "model.safetensors"
    for place in (folder, folder / "snapshots", folder / "snapshots" / "abc"):
        path = checkpoints.resolve(card(), place)
        assert path == expected and path.with_name("config.json").is_file()
    cached(tmp_path, {"model.safetensors": b"newer"}, "def", main=False)
    assert checkpoints.resolve(card(), folder) == expected
    assert checkpoints.resolve(card("model.safetensors"), str(folder)) == expected


def test_a_file_in_a_folder_of_the_repository(tmp_path):
    folder = cached(tmp_path, {"sub/w.ckpt": b"w"})
    found = checkpoints.resolve(card("sub/w.ckpt"), folder)
    assert found == folder / "snapshots" / "abc" / "sub" / "w.ckpt"


@pytest.mark.parametrize("name", ["weights.pth", "last.ckpt", "g_00150000.pt", "model.bin"])
def test_the_only_file_of_weights(tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_bytes(b"w")
    assert checkpoints.resolve(card(), tmp_path) == tmp_path / name


def test_folders_without_one_file_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="no file of weights: expected model.* holds nothing"):
        checkpoints.resolve(card(), tmp_path)
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(CheckpointError, match="it holds notes.txt"):
        checkpoints.resolve(card(), tmp_path)
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).write_bytes(b"w")
    message = f"{re.escape(str(tmp_path))} holds several files of weights: a.pth, b.pth; name one"
    with pytest.raises(CheckpointError, match=message):
        checkpoints.resolve(card(), tmp_path)


def test_a_damaged_file_names_no_types(tmp_path):
    torch.save({"x": Loop()}, tmp_path / "c.pth")
    whole = (tmp_path / "c.pth").read_bytes()
    (tmp_path / "c.pth").write_bytes(whole[: len(whole) // 2])
    with open(tmp_path / "c.pth", "rb") as file:
        assert training_files.foreign_types(file) == []
    with pytest.raises(CheckpointError, match="it is damaged, or holds other things"):
        checkpoints.read_state(tmp_path / "c.pth")
