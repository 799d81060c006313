"""The files of a run that was killed, or damaged."""

import json

import pytest
import torch

from audiotok.errors import RecipeError
from audiotok.training import state
from audiotok.training.folder import cut_log, read_json
from audiotok.training.processes import ProcessGroup


@pytest.mark.parametrize("torn", [b'{"step": 3, "lo', b"\xff\xfe", b"[" * 100_000, b"7", b"{}"])
def test_a_torn_line_of_a_log_costs_no_other(tmp_path, torn):
    path = tmp_path / "log.jsonl"
    lines = [json.dumps({"step": step}).encode() for step in (1, 2, 3, 4)]
    path.write_bytes(b"\n".join([lines[0], torn, *lines[1:], torn]))
    cut_log(path, 3)
    assert path.read_bytes() == b"\n".join(lines[:3]) + b"\n"
    cut_log(tmp_path / "none", 3)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("raw", [b"", b"[]", b"[" * 100_000, b"\xff", b"{"])
def test_json_that_is_no_object(tmp_path, raw):
    (tmp_path / "a.json").write_bytes(raw)
    assert read_json(tmp_path / "a.json") == {}


@pytest.mark.parametrize("random", [[{}], [None], [{"torch": 5}], 5])
def test_a_state_without_its_random_numbers(tmp_path, random):
    torch.save({"progress": {}, "random": random}, tmp_path / "state.pt")
    with pytest.raises(RecipeError, match="state.pt cannot be read .*--fresh"):
        state.load(tmp_path / "state.pt", {}, ProcessGroup())
