"""Codecs to the Hub and back, against a server on this machine."""

import os
import subprocess
import sys

import pytest
import yaml
from support import fake_hub, tiny_mini
from support.result_kit import put, spread

import audiotok
from audiotok.errors import AudiotokError, CodecError
from audiotok.report import hub_push

PROGRAM = """
import sys, audiotok
from audiotok.cli.commands import app
path, results = sys.argv[1:]
try:
    app(["push", path, "--to", "org/refused"], standalone_mode=False)
except audiotok.errors.AudiotokError as reason:
    print(reason)
app(["push", path, "--to", "org/tiny", "--results", results], standalone_mode=False)
codec = audiotok.load("hub:org/tiny:codebooks=2")
other = audiotok.Codec.from_pretrained("org/tiny", device="cpu")
print(codec.card.name, codec.num_codebooks, codec.fingerprint, other.num_codebooks)
"""


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
    path = tiny_mini.write(tmp_path_factory.mktemp("tiny"), "rvq")
    return audiotok.load(path, device="cpu", quiet=True)


def run(program, *arguments, **environment):
    settings = os.environ | {"HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_test"} | environment
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, env=settings, capture_output=True, text=True)


def test_a_codec_goes_to_the_hub_and_comes_back(codec, tmp_path):
    put(tmp_path / "results", "tiny-rvq", {"pesq": spread(2.5)}, licence_weights="MIT")
    with fake_hub.running() as hub:
        cache = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home")}
        done = run(PROGRAM, codec.checkpoint, tmp_path / "results", **cache)
    assert done.returncode == 0, done.stderr
    name, count, fingerprint, other = done.stdout.split()[-4:]
    assert name.startswith("tiny-rvq@") and (count, other) == ("2", "4")
    assert fingerprint == codec.fingerprint
    assert "was not uploaded to org/refused" in done.stdout.splitlines()[0]
    assert hub.repositories == ["org/tiny"]
    card = hub.files["README.md"].decode()
    block = yaml.safe_load(card.split("---")[1])
    metrics = block["model-index"][0]["results"][0]["metrics"]
    assert {metric["type"] for metric in metrics} >= {"pesq"}
    assert 'audiotok.load("hub:org/tiny")' in card and codec.fingerprint in card
    sounds = sorted(name for name in hub.files if name.startswith("samples/"))
    assert len(sounds) == 6 and hub.files[sounds[0]].startswith(b"RIFF")


def test_a_codec_that_was_not_measured_says_so(codec, tmp_path):
    folder = hub_push.write(codec, tmp_path / "out", "org/tiny", tmp_path / "no-results")
    card = (folder / "README.md").read_text()
    assert "Not measured yet" in card and "model-index" not in card
    with pytest.raises(AudiotokError, match="not empty"):
        hub_push.write(codec, folder, "org/tiny", tmp_path)


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "org/../x", "org/"])
def test_a_repository_has_an_owner_and_a_name(codec, tmp_path, name):
    with pytest.raises(AudiotokError, match="ORG/NAME"):
        hub_push.write(codec, tmp_path / "out", name, tmp_path)
    with pytest.raises(CodecError, match="expected hub:org/name"):
        audiotok.load(f"hub:{name}")


def test_a_name_in_a_file_downloads_nothing():
    from audiotok.system.names import Recorded

    with pytest.raises(CodecError, match="not in `audiotok list`"):
        audiotok.load(Recorded("hub:org/tiny"))


def test_save_and_load_as_in_transformers(codec, tmp_path):
    path = codec.save_pretrained(tmp_path / "saved")
    again = audiotok.Codec.from_pretrained(tmp_path / "saved", device="cpu", quiet=True)
    assert path.name == "model.safetensors" and again.fingerprint == codec.fingerprint
    with pytest.raises(CodecError, match="another folder"):
        again.save_pretrained(tmp_path / "saved")
    with pytest.raises(CodecError, match="cannot be saved"):
        audiotok.load("opus-6k").save_pretrained(tmp_path / "opus")
