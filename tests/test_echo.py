"""The echo: a file through a stream, its length, its report, and what it refuses."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from support.stranger_codec import HOP, Stranger
from test_documents import script

import audiotok
from audiotok.sound.audio import Audio

ROOT = Path(__file__).parents[1]


def test_a_file_becomes_what_encode_and_decode_make_of_it(tmp_path, monkeypatch, capsys):
    samples = 0.3 * np.random.default_rng(0).standard_normal(5_003)
    soundfile.write(tmp_path / "in.wav", samples, 16_000, subtype="FLOAT")
    out = tmp_path / "out.wav"
    command = ["echo.py", str(tmp_path / "in.wav"), str(out), "--codec", "mulaw", "--unpaced"]
    monkeypatch.setattr(sys, "argv", command)
    echo = script("echo")
    echo.main()
    text = capsys.readouterr().out
    assert "mulaw: 4 chunks of 80 ms" in text and "late" in text and "not measured" in text
    expected = audiotok.load("mulaw").reconstruct(tmp_path / "in.wav").waveform
    heard = torch.from_numpy(soundfile.read(out, dtype="float32")[0])[None]
    torch.testing.assert_close(heard, expected.clamp(-1, 1), rtol=0, atol=2**-15)
    with pytest.raises(SystemExit) as ended:
        echo.main()
    assert ended.value.code == 2 and "out.wav exists" in capsys.readouterr().err


def test_latency_counts_the_chunk_and_what_is_held_back(monkeypatch):
    """On a clock that only waiting moves."""
    echo, codec = script("echo"), Stranger(Stranger.CARDS[0])
    clock = [100.0]
    monkeypatch.setattr(echo.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(echo.time, "sleep", lambda wait: clock.__setitem__(0, clock[0] + wait))
    sound = Audio(0.1 * torch.ones(1, 10 * HOP + 5), 8_000)
    heard, timings = echo.echo(codec, echo.paced(codec, 4 * HOP, sound, True))
    assert heard.num_samples == sound.num_samples
    latency, work = np.array(timings).T
    assert latency == pytest.approx([0.04, 0.04, (2 * HOP + 5) / 8_000])
    assert not work.any() and clock[0] == pytest.approx(100 + (10 * HOP + 5) / 8_000)
    assert "latency: median 40.0 ms" in echo.report(codec, 4 * HOP, timings, True)


def test_what_cannot_stream_is_refused_in_one_line(tmp_path):
    soundfile.write(tmp_path / "in.wav", np.zeros(1_600), 16_000)
    command = [sys.executable, ROOT / "benchmarks/echo.py", tmp_path / "in.wav"]
    command += [tmp_path / "out.wav", "--codec", "opus"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and not (tmp_path / "out.wav").exists()
    assert "opus-12k cannot stream: its bytes are those of a whole file" in done.stderr
    assert "Traceback" not in done.stderr
