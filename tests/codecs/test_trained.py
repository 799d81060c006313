"""Files that are written: the same bytes each time; kinds of numbers that are no weights."""

import json

import pytest
import torch

import audiotok
from audiotok.codec import checkpoints, registry
from audiotok.errors import CheckpointError
from audiotok.nn.seanet import fold_weight_norm


@pytest.mark.parametrize("name", ["wavtokenizer-mini", "rvq-small"])
def test_saved_twice_is_one_name(tmp_path, name):
    codec, names, contents = audiotok.load(name), set(), set()
    for number in range(3):
        codec.save(tmp_path / f"{number}.safetensors")
        contents.add((tmp_path / f"{number}.safetensors").read_bytes())
        names.add(registry.find_card(str(tmp_path / f"{number}.safetensors")).name)
    assert len(contents) == len(names) == 1


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.complex64])
def test_kinds_of_numbers_that_are_no_weights(tmp_path, kind):
    codec = audiotok.load("wavtokenizer-mini")
    codec.save(tmp_path / "a.safetensors", half=True)
    state, metadata = checkpoints.read_state(tmp_path / "a.safetensors")
    key = next(key for key in state if key.startswith("encoder") and state[key].ndim > 1)
    checkpoints.save(tmp_path / "b.safetensors", state | {key: state[key].to(kind)}, metadata)
    name = str(kind).removeprefix("torch.")
    with pytest.raises(CheckpointError, match=f"1 mistyped: {key} {name} instead of float32"):
        audiotok.load(tmp_path / "b.safetensors")


def larger(config, factor):
    """A configuration whose first width is many times as large."""
    key = next(key for key in config if key in ("num_filters", "channels", "dimension", "width"))
    return config | {key: config[key] * factor}


@pytest.mark.parametrize("name", ["wavtokenizer-mini", "rvq-small"])
def test_sizes_that_only_the_file_says_cost_no_memory(tmp_path, name):
    codec = audiotok.load(name)
    codec.save(tmp_path / "a.safetensors", half=True)
    state, metadata = checkpoints.read_state(tmp_path / "a.safetensors")
    config = larger(json.loads(metadata["config"]), 2**16)
    metadata |= {"config": json.dumps(config)}
    checkpoints.save(tmp_path / "b.safetensors", state, metadata)
    with pytest.raises(CheckpointError, match="declares a network much larger than its weig"):
        audiotok.load(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    "direction", [torch.ones(2, 3, dtype=torch.int64), torch.ones(2, 3).bool()]
)
def test_weight_norm_that_does_not_fit(direction):
    with pytest.raises(CheckpointError, match="direction and gain of a.weight are torch"):
        fold_weight_norm({"a.weight_g": torch.ones(2, 1), "a.weight_v": direction})
