"""What tells codecs apart: weights, configuration, code, packages, options; not where files lie."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from support import tiny_codec

import audiotok
from audiotok.codec import checkpoints
from audiotok.results import provenance
from audiotok.results.identity import of_encoder

SOURCE = Path(tiny_codec.__file__)


def differing(one, other):
    return {key for key in one | other if one.get(key) != other.get(key)}


def test_options_and_code_and_packages(monkeypatch):
    first = of_encoder(audiotok.load("mulaw"))
    assert of_encoder(audiotok.load("mulaw")) == first and all(
        first[k] for k in first if k != "weights"
    )
    assert {"name", "fingerprint"} <= differing(first, of_encoder(audiotok.load("random")))
    monkeypatch.setattr(provenance, "version_of", lambda name: "0.1")
    changed = of_encoder(audiotok.load("mulaw"))
    assert differing(first, changed) == {"packages"}
    for package in ("ai-edge-litert", "s3tokenizer", "pycodec2"):  # they are codecs
        assert f"{package} 0.1" in changed["packages"]


def test_weights_that_the_codebooks_do_not_show(tmp_path):
    state = tiny_codec.state(seed=5)
    checkpoints.save(tmp_path / "a.safetensors", state, {})
    key = next(key for key in state if "codebook" not in key)
    checkpoints.save(tmp_path / "b.safetensors", state | {key: state[key] + 1}, {})
    shutil.copy(tmp_path / "a.safetensors", tmp_path / "c.safetensors")
    a, b, c = (
        of_encoder(audiotok.load(f"{SOURCE}::tiny-a", checkpoint=tmp_path / f"{name}.safetensors"))
        for name in "abc"
    )
    assert differing(a, c) == set() and "weights" in differing(a, b)
    (tmp_path / "config.json").write_text("{}")  # says how the network is built
    again = audiotok.load(f"{SOURCE}::tiny-a", checkpoint=tmp_path / "a.safetensors")
    assert differing(a, of_encoder(again)) == {"weights"}


def test_a_network_without_a_file():
    codec = audiotok.load(f"{SOURCE}::tiny-a")
    before = of_encoder(codec)
    with torch.no_grad():
        next(codec.network.parameters()).add_(1)
    assert "weights" in differing(before, of_encoder(codec))


def test_the_code_of_a_file(tmp_path):
    result = []
    for name, more in (("one", ""), ("two", "\n# another line\n")):
        path = tmp_path / f"{name}.py"
        path.write_text(SOURCE.read_text() + more)
        result.append(of_encoder(audiotok.load(path)))
    assert differing(*result) == {"code"}


PROGRAM = """
import audiotok, json
from audiotok.results.identity import of_encoder
print(json.dumps([of_encoder(audiotok.load(name)) for name in ("opus-6k", "wavtokenizer-mini")]))
"""


def test_is_the_same_in_every_process():
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    here = [of_encoder(audiotok.load(name)) for name in ("opus-6k", "wavtokenizer-mini")]
    assert json.loads(run.stdout) == here
