"""Codec 2: its cards, and its codes and sound beside direct calls of pycodec2."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import signal
from torch.nn import functional

import audiotok
from audiotok.codecs import codec2
from audiotok.errors import CodecError, DependencyError, MissingPackageError
from audiotok.system.failures import is_transient


def test_cards():
    cards = [card for card in audiotok.list_codecs() if card.family == "codec2"]
    assert {card.name: card.bitrate for card in cards} == {
        "codec2-700c": 700, "codec2-1200": 1200, "codec2-2400": 2400, "codec2-3200": 3200,
    }  # fmt: skip


def test_without_the_package(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None)
    with pytest.raises(MissingPackageError, match=r"Codec 2 needs .*pip install 'audiotok\[codec2"):
        audiotok.load("codec2")


def test_a_build_that_does_not_fit(monkeypatch, tmp_path):
    (tmp_path / "pycodec2.py").write_text("raise ImportError('no codec2.so')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pycodec2", raising=False)
    with pytest.raises(DependencyError, match=r"cannot be imported \(no codec2.so\): expected"):
        audiotok.load("codec2")


@pytest.fixture
def pycodec2():
    return pytest.importorskip("pycodec2")


@pytest.fixture(scope="module")
def speech():
    """3 s at 8 kHz, (1, L)."""
    return next(iter(audiotok.data.load("bundled"))).read().converted(1, 8000)[:, :24_000]


@pytest.mark.parametrize("mode", ["700c", "1200", "2400", "3200"])
def test_codes_and_sound_are_those_of_the_package(pycodec2, speech, mode):
    codec = audiotok.load(f"codec2-{mode}")
    tokens = codec.encode((speech, 8000))
    direct = pycodec2.Codec2(int(mode.removesuffix("c")))
    hop, bits = direct.samples_per_frame(), direct.bits_per_frame()
    padded = functional.pad(speech[0], (hop - codec.card.lookahead, 2 * hop))
    frames = (padded * 32767).round().short().numpy()[: (tokens.codes.shape[-1] + 1) * hop]
    streams = [direct.encode(frame) for frame in frames.reshape(-1, hop)][1:]
    size = bits // codec.num_codebooks
    for stream, codes in zip(streams, tokens.codes[0].T.tolist(), strict=True):
        assert (
            "".join(f"{code:0{size}b}" for code in codes)
            == ("".join(f"{byte:08b}" for byte in stream)[:bits])
        )
    child = (
        "import sys, pycodec2; d = pycodec2.Codec2(int(sys.argv[1])); "
        "print([int(s) for b in sys.argv[2:] for s in d.decode(bytes.fromhex(b))])"
    )
    command = [sys.executable, "-c", child, mode.removesuffix("c"), *(s.hex() for s in streams)]
    expected = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert (codec.decode(tokens).waveform[0] * 2**15).tolist() == expected[: speech.shape[-1]]


def test_sound_is_not_late(pycodec2, speech):
    """By the envelope: a vocoder keeps no waveform."""
    low_pass = signal.butter(2, 30, fs=8000, output="sos")
    for name in ("codec2-700c", "codec2-3200"):
        decoded = audiotok.load(name).reconstruct((speech, 8000)).waveform
        envelopes = [signal.sosfiltfilt(low_pass, x[0].abs().numpy()) for x in (speech, decoded)]
        original, made = (envelope - envelope.mean() for envelope in envelopes)
        lag = np.argmax(np.correlate(made, original, "full")) - (len(original) - 1)
        assert abs(lag) < 80  # 10 ms


def test_it_has_no_weights(pycodec2, tmp_path):
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(CodecError, match="codec2-1200 has no weights"):
        audiotok.load("codec2-1200", checkpoint=tmp_path / "a.bin")


@pytest.mark.parametrize(
    ("program", "message", "transient"),
    [
        ("raise SystemExit('no\\nsound')", "exit status 1: sound$", False),
        ("import os; os.kill(os.getpid(), 9)", "exit status -9: it gave no reason$", True),
    ],
)
def test_the_process_that_decodes_fails(
    pycodec2, speech, monkeypatch, capfd, program, message, transient
):
    codec = audiotok.load("codec2-1200")
    tokens = codec.encode((speech, 8000))
    monkeypatch.setattr(codec2, "_DECODE", program)
    with pytest.raises(CodecError, match=f"codec2-1200: .*{message}") as caught:
        codec.decode(tokens)
    assert is_transient(caught.value) == transient and capfd.readouterr().err == ""


def test_a_file_of_the_working_directory_is_not_the_package(
    pycodec2, speech, monkeypatch, tmp_path
):
    codec = audiotok.load("codec2-1200")
    tokens = codec.encode((speech, 8000))
    (tmp_path / "pycodec2.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    assert codec.decode(tokens).waveform.abs().max() > 0.01
