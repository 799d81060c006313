"""Codecs as objects: what they show, and that another process gets the same codec."""

import copy
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file
from support import stranger_codec

import audiotok
from audiotok.codec import checkpoints, registry
from audiotok.testing.sounds import audio, voice

SOUND = audio(voice(16_000, 0.5), 16_000)


def test_repr():
    text = repr(audiotok.load("rvq-small", quiet=True))
    assert text.startswith(
        "<Mini rvq-small: 16000 Hz in, 16000 Hz out, 50 frames per second, 12 cod"
    )
    assert "6000 bit/s" in text and "rvq-small.safetensors" in text and text.endswith("on cpu>")
    assert "a byte stream; weights: none" in repr(audiotok.load("opus-6k"))


@pytest.mark.parametrize("name", ["rvq-small:codebooks=2", "random", "opus-6k", "mulaw"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_a_copy_is_the_same_codec(name, copied):
    codec = audiotok.load(name, quiet=True)
    codec.window_seconds = 7.0
    other = copied(codec)
    tokens = codec.encode(SOUND)
    assert torch.equal(other.encode(SOUND).codes, tokens.codes)
    assert torch.equal(other.decode(tokens).waveform, codec.decode(tokens).waveform)
    assert (other.card, other.window_seconds) == (codec.card, 7.0)


def test_weights_that_were_changed_go_along():
    codec = audiotok.load("rvq-small", quiet=True)
    with torch.no_grad():
        codec.network.head.weight.mul_(0.5)
    tokens = codec.encode(SOUND)
    other = pickle.loads(pickle.dumps(codec))
    assert torch.equal(other.decode(tokens).waveform, codec.decode(tokens).waveform)


def test_a_codec_of_a_file_in_another_process(tmp_path):
    save_file(stranger_codec.state(), tmp_path / "s.safetensors")
    codec = audiotok.load(stranger_codec.__file__, tmp_path / "s.safetensors", quiet=True)
    (tmp_path / "codec").write_bytes(pickle.dumps(codec))
    program = (
        "import pickle, sys, numpy; codec = pickle.load(open(sys.argv[1], 'rb'));"
        "print(codec.card.name, codec.encode((numpy.zeros(800), 8000)).codes.shape[-1])"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "codec")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["stranger-8k", "10"], done.stderr


@pytest.mark.parametrize("whole", [True, False])
def test_weights_are_saved_after_compile(whole, tmp_path):
    codec = audiotok.load("rvq-small", quiet=True)
    codec.save(tmp_path / "before.safetensors")
    if whole:
        codec.network = torch.compile(codec.network)
    else:
        codec.network.encoder = torch.compile(codec.network.encoder)
    codec.save(tmp_path / "after.safetensors")
    before, after = (
        checkpoints.read_state(tmp_path / f"{name}.safetensors")[0] for name in ("before", "after")
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    audiotok.load(tmp_path / "after.safetensors")


def test_a_family_s_name_warns_once(caplog, monkeypatch):
    monkeypatch.setattr(registry, "_announced", set())
    for _ in range(2):
        audiotok.load("wavtokenizer")
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "wavtokenizer is wavtokenizer-mini (small weights of our own" in record.message
    assert "official weights: wavtokenizer-small-40" in record.message
    caplog.clear()
    audiotok.load("wavtokenizer-mini")
    audiotok.load("mulaw")
    assert not caplog.records
