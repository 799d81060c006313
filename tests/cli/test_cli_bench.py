"""`audiotok bench`: the table, what is measured again, interrupts, failed clips and odd names."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from support import bench_kit

from audiotok.codecs import classical


def test_a_table_and_the_same_again(audiotok):
    words = ["bench", "-t", "shy.py", "--data", "clips", "-s", "tiny.yaml", "--workers", "0"]
    code, out, err = audiotok(*words)
    assert code == 0, err
    rows = [line.split()[0] for line in out.splitlines() if line[:1].isalpha()]
    assert [r for r in rows if r in ("reference", "shy", "mulaw")] == ["reference", "shy", "mulaw"]
    assert "tiny v3 on clips, 2 clips" in out and "level_error ↓" in out
    assert "shy: measured in" in err
    code, again, err = audiotok(*words)
    assert again == out and err.count("measured before") == 3
    assert audiotok("leaderboard", "--check")[0] == 1
    assert audiotok("leaderboard")[0] == 0
    assert audiotok("leaderboard", "--check")[0] == 0
    Path("LEADERBOARD.md").write_text("edited")
    code, _, err = audiotok("leaderboard", "--check")
    assert code == 1 and "LEADERBOARD.md is not what results gives" in err


def test_what_may_be_reused(audiotok):
    words = ["bench", "-t", "mulaw", "--data", "clips", "-s", "tiny.yaml", "--workers", "0"]
    code, _, err = audiotok(*words, "--only-cache")
    assert code == 2 and "mulaw: the clip a is not in the cache" in err
    assert audiotok(*words)[0] == 0
    code, _, err = audiotok(*words, "--fresh")
    assert code == 0 and "measured before" not in err
    assert audiotok(*words, "--only-missing")[2].count("measured before") == 2
    code, _, err = audiotok(*words, "--only-missing", "--fresh")
    assert code == 2 and "--only-missing and --fresh exclude each other" in err


def test_a_family_name_says_what_it_stands_for(audiotok):
    _, _, err = audiotok("bench", "-t", "wavtokenizer", "--data", "nowhere")
    assert "wavtokenizer is wavtokenizer-mini" in err
    assert "wavtokenizer-small-40 (" in err


def test_ctrl_c_says_how_to_go_on(audiotok, monkeypatch):
    from audiotok.harness import runner

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "_score_clips", stop)
    code, _, err = audiotok("bench", "-t", "mulaw", "--data", "clips", "-s", "tiny.yaml")
    assert code == 130
    assert "The same command resumes the run" in err


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_inside_of_opus_stops_the_run_and_books_no_failure(
    audiotok, monkeypatch, number, expected
):
    sent = []

    class Interrupting(io.BytesIO):
        def write(self, data):
            if not sent:
                sent.append(os.kill(os.getpid(), number))
            return super().write(data)

    words = ["bench", "-t", "opus-6k", "--data", "clips", "-s", "tiny.yaml", "--workers", "0"]
    words += ["--tasks", "level"]
    with monkeypatch.context() as patch:
        patch.setattr(classical, "io", SimpleNamespace(BytesIO=Interrupting))
        code, _, err = audiotok(*words)
    assert code == expected and "The same command resumes the run" in err
    assert "opus" not in err and not list(Path("results").glob("*/*/opus-6k/summary.json"))
    code, out, err = audiotok(*words)
    assert code == 0 and "failed" not in out


def test_a_codec_without_any_number_is_exit_code_1(audiotok):
    Path("mute.py").write_text(bench_kit.CODEC.replace("> 0.9", "> 0"))
    words = ["bench", "-t", "mute.py", "--data", "clips", "-s", "tiny.yaml", "--workers", "0"]
    code, out, _ = audiotok(*words, "--tasks", "level")
    assert code == 1 and "shy: nothing was measured, on none of 2 clips" in out
    Path("clips/c-raises.wav").write_bytes(Path("clips/a.wav").read_bytes())
    code, out, _ = audiotok(*words[:2], "mulaw", *words[3:], "--tasks", "level")
    assert code == 0 and "(2 of 3, 1 failed)" in out and "clips that a mean includes" in out


def test_clips_that_failed_for_now_are_said_and_the_exit_code_is_1(audiotok):
    memory = bench_kit.CODEC.replace("too loud", "CUDA out of memory")
    Path("hungry.py").write_text(memory.replace("> 0.9", "> 0"))
    words = ["bench", "-t", "hungry.py", "--data", "clips", "-s", "tiny.yaml", "--workers", "0"]
    code, out, err = audiotok(*words, "--no-baselines", "--tasks", "level")
    assert code == 1, out + err
    assert "shy: 2 of 2 clips could not be measured for now, first a: RuntimeError: CUDA" in out
    assert "the same command tries them again" in out


def test_nothing_that_could_be_measured(audiotok):
    for name in ("a", "b"):
        Path(f"clips/{name}.wav").write_bytes(b"no sound")
    words = ["bench", "-t", "mulaw", "--data", "clips", "-s", "tiny.yaml", "--workers", "0"]
    code, _, err = audiotok(*words)
    assert code == 2 and "nothing was measured: none of the 2 clips has a value" in err


def test_brackets_in_names(audiotok):
    codec = Path("shy.py").read_text().replace('name="shy"', 'name="sh [/y]"')
    Path("brackets.py").write_text(codec)
    Path("clips").rename("clips [a]")
    words = ["bench", "-t", "brackets.py", "-s", "tiny.yaml", "-o", "out[/x]", "--workers", "0"]
    code, out, err = audiotok(*words, "--data", "clips [a]")
    assert code == 0, err
    assert "on clips [a], 2 clips" in out and "\nsh [/y] " in out and "rows: out[/x]/" in out
    code, out, err = audiotok("compare", "sh [/y]", "mulaw", "-r", "out[/x]")
    assert code == 0 and "sh [/y]" in out


def test_a_missing_gpu_is_said_before_anything_is_measured(audiotok, monkeypatch):
    from audiotok.codec import devices

    monkeypatch.setattr(devices.torch.cuda, "device_count", lambda: 0)
    words = ["bench", "-t", "mulaw", "--data", "clips", "-s", "tiny.yaml", "-d", "cuda"]
    code, _, err = audiotok(*words)
    assert code == 2 and "device 'cuda' is not there: 0 GPUs found" in err
    assert not Path("results").exists()


def test_a_daemon_scores_and_encodes_in_its_own_process(audiotok, monkeypatch):
    from multiprocessing import process

    monkeypatch.setitem(process.current_process()._config, "daemon", True)
    words = ["bench", "-t", "mulaw", "--data", "clips", "-s", "tiny.yaml", "--workers", "2"]
    code, _, err = audiotok(*words)
    assert code == 0 and "clips are scored in this process" in err
    code, _, err = audiotok("encode", "clips", "-t", "mulaw", "-o", "tokens", "--workers", "2")
    assert code == 0 and "clips are encoded in this process" in err


def test_names_that_are_no_utf8(audiotok):
    folder = os.fsdecode(b"d\xe9")
    os.mkdir(folder)
    for name in ("a.wav", "b.wav"):
        os.rename(f"clips/{name}", os.fsdecode(os.fsencode(f"{folder}/{name}") + b"\xe9.wav"))
    Path(folder, os.fsdecode(b"c\xe9.wav")).write_bytes(b"damaged")
    words = ["bench", "-t", "mulaw", "-s", "tiny.yaml", "--workers", "0"]
    out = os.fsdecode(b"r\xe9")
    code, shown, err = audiotok(*words, "--data", folder, "-o", out)
    assert code == 0 and "on d\\udce9, 3 clips" in shown, err
    code, shown, err = audiotok("compare", "mulaw", "reference", "-r", out)
    assert code == 0, err
    assert audiotok("encode", folder, "-t", "mulaw", "-o", out + "/", "-f", "atok")[0] == 1
    code, _, err = audiotok("encode", folder, "-t", "mulaw", "-o", "tokens", "--workers", "0")
    assert code == 1 and "c\\udce9.wav" in Path("tokens/_failed.tsv").read_text()
