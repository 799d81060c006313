"""Any bytes in place of weights are refused in one line, or give tensors within bounds."""

import json

import pytest
import torch

from audiotok.codec import checkpoints

STATE = {f"layer.{n}.weight": torch.ones(n, 3) for n in range(1, 9)}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", ["safetensors", "zip", "pickle"])
def test_weights(tmp_path, fuzz, kind):
    path = tmp_path / "weights"
    if kind == "safetensors":
        checkpoints.save(path, STATE, {"family": "mini", "config": json.dumps({"a": [1, 2]})})
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=kind == "zip")

    def read(path):
        state, metadata = checkpoints.read_state(path)
        most = checkpoints.MOST_UNPACKED * path.stat().st_size
        assert sum(tensor.numel() * tensor.element_size() for tensor in state.values()) <= most
        listed = {name: (tensor.dtype, tensor.tolist()) for name, tensor in state.items()}
        return listed, metadata

    fuzz(path, [path.read_bytes()], read)
