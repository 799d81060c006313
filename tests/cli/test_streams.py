"""`-` for stdin and stdout; `audiotok show`; mistakes with streams are one line."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiotok.system import process


class Stream(io.TextIOWrapper):
    """A standard stream with bytes; `tty` says whether it is a terminal."""

    def __init__(self, data: bytes = b"", tty: bool = False) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8", write_through=True)
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty


@pytest.fixture
def piped(audiotok, monkeypatch):
    """Runs a command line on stdin; gives exit code, bytes of stdout, and stderr."""

    def run(data: bytes, *words: str, tty: bool = False):
        out = Stream(tty=tty)
        monkeypatch.setattr(sys, "stdin", Stream(data))
        monkeypatch.setattr(sys, "stdout", out)
        code, _, err = audiotok(*words)
        return code, out.buffer.getvalue(), err

    return run


def test_a_pipe_from_sound_to_sound(piped):
    sound = Path("clips/a.wav").read_bytes()
    code, tokens, err = piped(sound, "encode", "-", "-t", "mulaw", "-o", "-")
    assert code == 0, err
    assert "stdout: 4000 codes of mulaw, 128000 bit/s" in err and "bytes from stdin" in err
    code, decoded, err = piped(tokens, "decode", "-", "-o", "-")
    assert code == 0, err
    code, at_once, err = piped(sound, "reconstruct", "-", "-t", "mulaw", "-o", "-")
    assert code == 0 and at_once == decoded, err
    back, rate = soundfile.read(io.BytesIO(decoded))
    original, original_rate = soundfile.read("clips/a.wav")
    assert rate == original_rate and np.abs(back - original).max() < 0.02


def test_one_end_of_a_pipe(piped):
    sound = Path("clips/a.wav").read_bytes()
    code, out, err = piped(sound, "encode", "-", "-t", "mulaw", "-o", "a.atok")
    assert code == 0 and b"a.atok: 4000 codes" in out, err
    code, out, _ = piped(b"", "encode", "clips/a.wav", "-t", "mulaw", "-o", "-")
    assert code == 0 and out == Path("a.atok").read_bytes()
    code, out, _ = piped(out, "decode", "-", "-o", "a.flac")
    assert code == 0 and out == b"a.flac\n" and soundfile.info("a.flac").format == "FLAC"


def test_show(audiotok, piped):
    assert audiotok("encode", "clips/a.wav", "-t", "mulaw", "-o", "a.atok")[0] == 0
    code, out, err = audiotok("show", "a.atok")
    assert code == 0, err
    assert "4000 frames of 1 codebook of 256" in out and "128000 bit/s" in out
    assert "the first 198 of 4000 frames" in out
    content = json.loads(audiotok("show", "a.atok", "--json")[1])
    assert content["codec"] == "mulaw" and content["codebook_sizes"] == [256]
    assert content["bitrate"] == 128_000 and content["num_frames"] == 4000
    assert piped(Path("a.atok").read_bytes(), "show", "-")[1].decode() == out


@pytest.mark.parametrize(
    ("data", "words", "message"),
    [
        (b"", "encode - -t mulaw -o a.atok", "stdin is empty: expected a sound file"),
        (b"", "decode - -o -", "stdin is empty: expected an .atok file"),
        (b"no sound", "encode - -t mulaw -o a.atok", "stdin"),
        (b"no tokens", "decode - -o a.wav", "stdin: not an .atok file"),
        (b"no tokens", "show -", "stdin: not an .atok file"),
        (b"", "show clips", "clips is a folder: expected one .atok file"),
        (b"", "show clips/a.wav", "clips/a.wav: not an .atok file"),
        (b"", "show no.atok", "no.atok"),
        (b"x", "encode - clips/a.wav -t mulaw -o a.atok", "2 inputs are given"),
        (b"x", "encode - -t mulaw -o clips", "clips is a folder, and stdin has no name"),
        (b"x", "encode - -t mulaw -o new/", "new/ is a folder, and stdin has no name"),
        (b"", "encode clips -t mulaw -o - -f atok", "stdout, for one file"),
        (b"", "reconstruct clips/a.wav clips/b.wav -t mulaw -o -", "stdout, for one file"),
    ],
)
def test_mistakes(piped, data, words, message):
    code, out, err = piped(data, *words.split())
    assert code == 2 and out == b""
    last = err.splitlines()[-1]
    assert last.startswith("audiotok: ") and message in last and "audiotok-stream-" not in err
    assert not Path("a.atok").exists() and not Path("a.wav").exists()


def test_no_bytes_to_a_terminal(piped):
    code, out, err = piped(b"", "encode", "clips/a.wav", "-t", "mulaw", "-o", "-", tty=True)
    assert code == 2 and out == b"" and "stdout is a terminal, and .atok is no text" in err


def test_no_waiting_for_a_terminal(audiotok, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Stream(tty=True))
    code, _, err = audiotok("show", "-")
    assert code == 2 and "stdin is a terminal: pipe an .atok file into this command" in err


@pytest.mark.parametrize(
    ("name", "words"),
    [("stdin", "show -"), ("stdout", "encode clips/a.wav -t mulaw -o -")],
)
def test_closed_streams(audiotok, monkeypatch, name, words):
    monkeypatch.setattr(process, "_closed", {name})
    code, _, err = audiotok(*words.split())
    assert code == 2 and f"{name} is closed: " in err.splitlines()[-1]
