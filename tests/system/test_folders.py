"""What is below a folder is found, or named."""

import os

import pytest

from audiotok.errors import CorpusError
from audiotok.system.folders import files_below, left_out


def make(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_hidden_files_are_none(tmp_path):
    make(tmp_path, "b.wav", "a/c.wav", ".hidden/d.wav", "a/._c.wav", os.fsdecode(b"\xe9.wav"))
    names = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, CorpusError)]
    assert names == ["a/c.wav", "b.wav", "\udce9.wav"]


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    make(tmp_path, "good/a.wav", "locked/b.wav", ".locked/c.wav")
    scandir = os.scandir

    def refusing(path):
        if os.path.basename(path) in ("locked", ".locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(CorpusError, match=r"/locked cannot be read \(Permission denied\)"):
        files_below(tmp_path, CorpusError)


def test_what_is_left_out_is_counted_and_named(tmp_path):
    make(tmp_path, "a.wav", "b.m4a", "deep/c.m4a", "d.w64", "README")
    (tmp_path / "linked").symlink_to("deep")
    others = [path for path in files_below(tmp_path, CorpusError) if path.suffix != ".wav"]
    assert left_out(tmp_path, others, (".wav", ".flac")) == (
        f"{tmp_path}: 5 files are left out (2 .m4a, 1 .w64, 1 linked folder, 1 without suffix; "
        "e.g. README): only .wav, .flac are read"
    )
    assert left_out(tmp_path, [], (".wav",)) is None
