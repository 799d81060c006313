"""A command in bad surroundings: one line and exit code 2, or it works."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from audiotok.errors import AudioError
from audiotok.system import process

PROGRAM = """
import sys
from audiotok.system.process import guarded
with guarded():
    {}
"""
MUCH = "print('x' * 100 + '\\n', end='') or [print('y' * 100) for _ in range(5000)]"


def run(body: str, redirect: str = "", **settings) -> tuple[int, str]:
    """Exit code and stderr of a program in a shell."""
    command = ["bash", "-c", f'"$0" -c "$1" {redirect}', sys.executable, PROGRAM.format(body)]
    done = subprocess.run(command, capture_output=True, text=True, **settings)
    return done.returncode, done.stderr


def test_a_full_device():
    code, err = run("print('x')", "> /dev/full")
    assert code == 2 and err == "audiotok: No space left on device (OSError)\n"


def test_a_reader_that_leaves():
    code, err = run(MUCH, "| head -n 1; exit ${PIPESTATUS[0]}")
    assert (code, err) == (1, "")
    code, err = run("print('x')", "| true; exit ${PIPESTATUS[0]}")
    assert code in (0, 1) and err == ""


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams(tmp_path, redirect):
    path = tmp_path / "result"
    body = f"print('lost'); file = open({str(path)!r}, 'w'); print('kept', file=file); file.close()"
    assert run(body, redirect) == (0, "")
    assert path.read_text() == "kept\n"  # no stream got the number of the file


def test_ascii_streams():
    code, err = run(
        "print('↑ é \\udce9', file=sys.stderr)", env=os.environ | {"PYTHONIOENCODING": "ascii"}
    )
    assert (code, err) == (0, "\\u2191 \\xe9 \\udce9\n")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (AudioError("a\nb"), "a\nb"),
        (PermissionError(13, "Permission denied", "x"), "x: Permission denied (PermissionError)"),
        (OSError(24, "Too many open files"), "Too many open files (OSError)"),
        (OSError(22, "Invalid", b"\xe9", None, b"y"), "\udce9: y: Invalid (OSError)"),
        (MemoryError(), "memory is short (MemoryError): free some, or give less work at once"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: x"),
            "memory is short",
        ),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "memory is short (CUDA out"),
        (RuntimeError("a bug"), None),
        (KeyError("a bug"), None),
    ],
)
def test_what_the_user_can_mend_is_one_line(error, text, capsys):
    if text is None:
        with pytest.raises(type(error)), process.guarded():
            raise error
        return
    assert process.explained(error).startswith(text)
    with pytest.raises(SystemExit) as ended, process.guarded():
        raise error
    err = capsys.readouterr().err
    assert ended.value.code == 2 and err.startswith("audiotok: ") and err.count("\n") == 1


def test_memory_that_pytorch_does_not_get(capsys):
    import torch

    with pytest.raises(SystemExit) as ended, process.guarded():
        torch.empty(2**60, dtype=torch.uint8)
    assert ended.value.code == 2 and "memory is short" in capsys.readouterr().err


def test_a_user_that_the_system_does_not_know(tmp_path, monkeypatch):
    import pwd

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(process.os, "environ", dict(process.os.environ))
    with process.guarded():
        assert process.os.environ["USER"] == f"uid-{process.os.getuid()}"
        assert process.os.environ["HOME"].startswith(str(tmp_path))
