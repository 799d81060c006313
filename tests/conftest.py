"""What all tests share: none of them reads or fills the user's cache."""

import os
import sys

import pytest

os.environ.setdefault("AUDIOTOK_DEVICE", "cpu")  # a test that needs a GPU says so
os.environ.pop("COLUMNS", None)  # processes of pytest-xdist have 80


@pytest.fixture(autouse=True)
def cache_of_its_own(monkeypatch, tmp_path_factory, request):
    folder = tmp_path_factory.getbasetemp() / "caches" / str(abs(hash(request.node.nodeid)))
    monkeypatch.setenv("AUDIOTOK_CACHE", str(folder))
    monkeypatch.delenv("AUDIOTOK_DATA", raising=False)


@pytest.fixture
def kit(tmp_path, monkeypatch):
    from support import bench_kit

    bench_kit.set_up(monkeypatch, tmp_path, ["a", "b"])


@pytest.fixture
def audiotok(kit, monkeypatch, capsys):
    """Runs a command line; gives exit code, stdout and stderr."""
    from audiotok import cli
    from audiotok.cli import show

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["audiotok", *words])
        capsys.readouterr()
        # rich looks at the streams once: give it those of this call
        monkeypatch.setattr(show.out, "_file", None)
        with pytest.raises(SystemExit) as ended:
            cli.main()
            raise SystemExit(0)
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def forked_processes(monkeypatch):
    """The promise "processes" is checked in forks, not in newly started processes."""
    from support import forked

    forked.install(monkeypatch)
