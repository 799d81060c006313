"""What a folder gives and what it leaves out, by content and not by suffix alone."""

import os

import pytest
from support.sound_kit import samples, written

from audiotok import data
from audiotok.cli import inputs
from audiotok.errors import AudiotokError, CorpusError
from audiotok.sound import folders

SOUND = samples(4_000) / 4


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "in"
    (place / "deep/er").mkdir(parents=True)
    for name, form in (("a.wav", "wav"), ("b.W64", "w64"), ("deep/c.caf", "caf")):
        written(place / name, SOUND, form=form)
    for name, form in (("deep/er/no_extension", "flac"), ("dump.bin", "opus"), (".hid.wav", "wav")):
        written(place / name, SOUND, form=form)
    (place / "d.m4a").write_bytes(b"\0\0\0\x20ftypM4A ")
    (place / "e").write_bytes(b"\x1a\x45\xdf\xa3webm")
    (place / "words").write_text("MAC OS, TAG, Og and other words")
    written(place / "notes.txt", SOUND, form="wav")
    (place / "deep/cover.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    (place / "empty").write_bytes(b"")
    (place / "broken.wav").symlink_to(place / "nothing.wav")
    (place / "again").symlink_to(place / "deep")
    os.mkfifo(place / "pipe.wav")
    return place


TAKEN = ["a.wav", "b.W64", "d.m4a", "deep/c.caf", "deep/er/no_extension", "dump.bin", "e"]
LEFT = ["again", "broken.wav", "deep/cover.jpg", "empty", "notes.txt", "pipe.wav", "words"]


def test_sound_is_found_by_its_content_and_the_rest_is_named(folder, caplog):
    result = folders.find(folder, folders.SOUND, CorpusError)
    assert [str(path.relative_to(folder)) for path in result.files] == TAKEN
    assert [str(path.relative_to(folder)) for path in result.left_out] == LEFT
    result.warn(folder, "sound")
    assert caplog.messages == [
        f"{folder}: 7 files are left out, no sound: again, broken.wav, deep/cover.jpg, empty, "
        "notes.txt and 2 more"
    ]


def test_corpora_and_commands_say_what_they_leave_out(folder, tmp_path, caplog):
    corpus = data.load(folder)
    assert [clip.path for clip in corpus] == [folder / name for name in TAKEN]
    assert corpus.left_out == tuple(folder / name for name in LEFT)
    pairs = inputs.pairs([folder], f"{tmp_path}/out/", (".atok",), inputs.SOUND)
    assert [source for source, _ in pairs] == [folder / name for name in TAKEN]
    assert [message.split(",")[0] for message in caplog.messages] == [
        f"{folder}: 7 files are left out"
    ] * 2


def test_what_is_used_otherwise_is_not_left_out(tmp_path, caplog):
    written(tmp_path / "1-2-3.flac", SOUND)
    (tmp_path / "1-2.trans.txt").write_text("1-2-3 HELLO\n")
    assert data.load(tmp_path).clips[0].text == "HELLO"
    assert not caplog.messages


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read_is_refused(folder):
    (folder / "deep/er").chmod(0)
    with pytest.raises(CorpusError, match="deep/er cannot be read: Permission denied"):
        data.load(folder)


def test_an_unreadable_folder_is_an_error_not_an_omission(folder, monkeypatch):
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("er"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CorpusError, match="deep/er cannot be read: Permission denied"):
        data.load(folder)


def test_pipes_and_devices_are_refused(folder):
    for path in (folder / "pipe.wav", folder.parent / "link"):
        if not path.exists():
            path.symlink_to("/dev/zero")
        with pytest.raises(AudiotokError, match="is a pipe, a device or a socket"):
            inputs.pairs([path], "out.atok", (".atok",), inputs.SOUND)
        with pytest.raises(CorpusError, match="neither a file, a folder"):
            data.load(path)


def test_one_file_is_a_corpus_by_its_content(folder):
    assert data.load(folder / "dump.bin").clips[0].read().num_samples == 4_000
    with pytest.raises(CorpusError, match="neither a manifest .* nor a sound file"):
        data.load(folder / "notes.txt")
