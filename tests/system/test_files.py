"""Files are replaced whole or not at all."""

import os
import subprocess
import sys

import pytest

from audiotok.errors import AudioError, MissingPackageError
from audiotok.system.files import replacing


def test_new_and_old_file(tmp_path):
    path = tmp_path / ("n" * 250 + ".bin")
    for content in (b"old", b"new"):
        with replacing(path, AudioError) as file:
            file.write(content)
            assert not path.exists() or path.read_bytes() == b"old"
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == [path.name]


def test_an_exception_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), replacing(path, AudioError) as file:
        file.write(b"half")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_symbolic_link_stays(tmp_path):
    (tmp_path / "real.bin").write_bytes(b"old")
    (tmp_path / "link.bin").symlink_to("real.bin")
    with replacing(tmp_path / "link.bin", AudioError) as file:
        file.write(b"new")
    assert (tmp_path / "link.bin").is_symlink()
    assert (tmp_path / "real.bin").read_bytes() == b"new"


@pytest.mark.parametrize("place", ["missing/a.bin", "a_file/a.bin", ".", "/dev/null", "/proc/x"])
def test_places_that_cannot_be_written(tmp_path, place):
    (tmp_path / "a_file").write_bytes(b"")
    path = tmp_path / place
    with pytest.raises(AudioError, match="cannot write") as caught:  # noqa: SIM117
        with replacing(path, AudioError) as file:
            file.write(b"new")
    assert "\n" not in str(caught.value)


def test_a_full_disk(tmp_path):
    program = """
import resource, signal, sys
from audiotok.errors import AudioError
from audiotok.files import replacing
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with replacing(sys.argv[1], AudioError) as file:
        file.write(bytes(5000))
except AudioError as error:
    print(error)
"""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    run = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith(f"cannot write {path}: File too large")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_missing_package_says_what_to_install():
    error = MissingPackageError("pesq", "bench", "the metric pesq")
    assert str(error) == (
        "the metric pesq needs the package pesq, which is not installed: "
        "pip install 'audiotok[bench]'"
    )
