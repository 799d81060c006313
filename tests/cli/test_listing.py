"""tasks, suites, metrics, cache, completion, --version; tables cut no name at any width."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import audiotok as package
from audiotok import metrics, tasks
from audiotok.cli.commands import VERBS
from audiotok.codec import devices, registry
from audiotok.errors import CodecError
from audiotok.system import assets

ROOT = Path(__file__).parents[2]


@pytest.fixture
def narrow(audiotok, monkeypatch):
    """Runs a command line on a console of so many columns."""
    from audiotok.cli import show

    def run(columns: int, *words: str) -> str:
        monkeypatch.setattr(show.out, "_width", columns)
        monkeypatch.setenv("COLUMNS", str(columns))
        code, out, err = audiotok(*words)
        assert code == 0, err
        assert "…" not in out and max(map(len, out.splitlines())) <= columns
        return out

    return run


@pytest.mark.parametrize("columns", [80, 50])
def test_no_name_of_a_codec_is_cut(narrow, columns):
    names = {line.split(" ")[0] for line in narrow(columns, "list").splitlines()}
    assert {card.name for card in registry.list_codecs()} <= names


def _verbs():
    return {name: verb for verbs in VERBS.values() for name, verb in verbs.items()}


def test_lists_at_80_columns(narrow):
    def first(words: str) -> set[str]:
        return {line.split(" ")[0] for line in narrow(80, words).splitlines()}

    assert set(tasks.names()) <= first("tasks")
    assert set(assets.names("benchmarks")) <= first("suites")
    columns = {c.name for metric in metrics.list_metrics() for c in metric.all_columns}
    assert columns <= first("metrics")


def test_a_compared_table_at_80_columns(narrow):
    names = ["wavtokenizer-mini", "opus-6k"]
    out = narrow(80, "compare", *names, "-r", str(ROOT / "results"), "-s", "smoke")
    for word in (*names, "difference", "95 % interval", "better", "mel_distance ↓"):
        assert word in out


def test_lists_as_json(audiotok):
    listed = json.loads(audiotok("tasks", "--json")[1])
    assert [one["task"] for one in listed] == tasks.names()
    assert all(one["ready"] == (one["why_not"] is None) for one in listed)
    listed = json.loads(audiotok("metrics", "--json")[1])
    assert [one["metric"] for one in listed] == metrics.names()
    listed = json.loads(audiotok("suites", "--json")[1])
    assert {one["name"] for one in listed} == set(assets.names("benchmarks"))


def test_the_version(audiotok):
    assert audiotok("--version") == (0, f"audiotok {package.__version__}\n", "")


# --- the cache -------------------------------------------------------------------------------


def entry(folder: Path, kind: str, content: bytes) -> Path:
    from audiotok.harness.cache import Cache

    cache = Cache(folder, 10**9, print)
    cache.put(kind, {"clip": content.hex()}, content)
    return cache._path(kind, {"clip": content.hex()})


def test_the_cache_is_shown_and_cleared(audiotok, monkeypatch, tmp_path):
    folder = tmp_path / "kept"
    monkeypatch.setenv("AUDIOTOK_CACHE", str(folder))
    assert "does not exist yet" in audiotok("cache")[1]
    entries = [entry(folder, kind, b"x" * n) for n, kind in enumerate(("tokens", "scores"), 5)]
    mine = [folder / "thesis.txt", entries[0].with_name("notes"), folder / "tokens" / "mine"]
    mine += [entries[1].with_name("0" * 64)]  # the name of an entry, and other content
    for path in mine:
        path.write_text("precious")
    elsewhere = tmp_path / "elsewhere"
    linked = entry(elsewhere, "tokens", b"linked")
    (folder / "waveforms").symlink_to(elsewhere / "tokens")
    (folder / "tokens" / "ff").symlink_to(linked.parent)
    shown = json.loads(audiotok("cache", "--json")[1])
    assert shown["folder"] == str(folder) and shown["kinds"]["tokens"]["entries"] == 1
    assert shown["kinds"]["scores"]["bytes"] == entries[1].stat().st_size
    out = audiotok("cache")[1]
    assert "1 entries" in out and "never removed: " in out and "thesis.txt" in out
    code, out, err = audiotok("cache", "--clear")
    assert code == 0, err
    assert f"2 entries were removed from {folder}" in out
    assert all(path.read_text() == "precious" for path in mine)
    assert linked.is_file() and not any(path.exists() for path in entries)
    assert audiotok("cache", "--clear")[1].startswith("0 entries were removed")


def test_a_folder_that_is_no_cache_stays(audiotok, monkeypatch):
    monkeypatch.setenv("AUDIOTOK_CACHE", "clips")
    assert audiotok("cache", "--clear")[0] == 0
    assert sorted(path.name for path in Path("clips").iterdir()) == ["a.wav", "b.wav"]


# --- completion ------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_the_shell(audiotok, shell):
    code, out, _ = audiotok("completion", shell)
    assert code == 0 and "_AUDIOTOK_COMPLETE" in out and "audiotok" in out


def test_an_unknown_shell(audiotok):
    code, _, err = audiotok("completion", "tcsh")
    assert code == 2 and "'tcsh': expected bash, zsh, fish" in err


@pytest.mark.parametrize(
    ("words", "number", "expected"),
    [
        ("audiotok sh", 1, {"show"}),
        ("audiotok bench -s rate", 3, {"rate-quality"}),
        ("audiotok train wavtokenizer-mi", 2, {"wavtokenizer-mini"}),
        ("audiotok encode a.wav -t rvq-s", 4, {"rvq-small"}),
    ],
)
def test_what_may_follow(audiotok, monkeypatch, words, number, expected):
    monkeypatch.setenv("_AUDIOTOK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(number))
    assert expected <= set(audiotok()[1].split())


# --- devices ---------------------------------------------------------------------------------


def test_auto_says_what_it_took(audiotok, monkeypatch):
    words = ["encode", "clips/a.wav", "-t", "mulaw", "-o", "a.atok", "--overwrite"]
    assert "Device: cpu (from AUDIOTOK_DEVICE).\n" in audiotok(*words)[2]
    monkeypatch.delenv("AUDIOTOK_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "Device: cpu (no GPU that this PyTorch can use).\n" in audiotok(*words)[2]
    assert "Device" not in audiotok(*words, "--device", "cpu")[2]


def test_auto_takes_a_gpu_that_works(monkeypatch):
    monkeypatch.delenv("AUDIOTOK_DEVICE")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Fast One")
    made = []
    monkeypatch.setattr(
        devices.torch, "ones", lambda *_, device: made.append(device) or torch.zeros(1)
    )
    assert devices.automatic() == (torch.device("cuda"), "Fast One") and made == ["cuda"]

    def fails(*_, device):
        raise RuntimeError("driver")

    monkeypatch.setattr(devices.torch, "ones", fails)
    assert devices.automatic() == (torch.device("cpu"), "the GPU fails with RuntimeError")
    monkeypatch.setenv("AUDIOTOK_DEVICE", "abacus")
    with pytest.raises(CodecError, match="no device 'abacus'"):
        registry.find_device("auto")


def test_every_device_option_is_auto():
    import inspect

    functions = [*_verbs().values(), registry.load, package.bench, package.corpora.encode]
    defaults = [inspect.signature(one).parameters.get("device") for one in functions]
    assert {found.default for found in defaults if found is not None} == {"auto"}


def test_help_starts_fast_with_all_verbs():
    """The verbs import nothing heavy; see test_cli.test_help_imports_nothing_heavy."""
    environment = os.environ | {"COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "audiotok", "--help"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert all(f" {verb} " in done.stdout for verb in _verbs())
