"""Every way to name a corpus, and what Corpus and Clip promise."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiotok import data
from audiotok.data import Clip, Corpus, _download, _ids, bundled, librispeech
from audiotok.errors import CorpusError
from audiotok.system import names


@pytest.fixture
def sounds(tmp_path):
    """A function that makes short sound files below tmp_path and returns tmp_path."""

    def make(*names: str):
        for place, name in enumerate(names):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.full(160, 0.01 * (place + 1)), 16_000, format="WAV")
        return tmp_path

    return make


def test_a_folder_gives_every_sound_in_the_order_of_paths(sounds):
    folder = sounds("b.wav", "a/2.WAV", "a/1.wav", "._b.wav", ".trash/c.wav", "note.txt")
    corpus = data.load(folder)
    assert [clip.id for clip in corpus] == ["a__1", "a__2", "b"]
    assert corpus.name == folder.name and corpus.grammar is None
    assert corpus.clips[2].read().num_samples == 160


def test_a_folder_with_a_manifest_is_read_by_it(sounds):
    folder = sounds("a.wav", "b.wav")
    (folder / "manifest.tsv").write_text('audio\tspeaker\ttext\nb.wav\tann\tsay "no"\n')
    (folder / "grammar.jsgf").write_text("#JSGF V1.0;\n")
    corpus = data.load(str(folder))
    assert [(c.id, c.speaker, c.text) for c in corpus] == [("b", "ann", 'say "no"')]
    assert corpus.grammar == str(folder / "grammar.jsgf")


def test_librispeech_layout_gives_texts_and_speakers(sounds):
    folder = sounds("61/7/61-7-0000.flac", "61/7/61-7-0001.flac", "extra.wav")
    (folder / "61/7/61-7.trans.txt").write_text("61-7-0000 HE SAID\n61-7-0001 NO\n61-7-0002 GONE\n")
    corpus = data.load(folder)
    assert [(c.id, c.speaker, c.text) for c in corpus] == [
        ("61-7-0000", "61", "HE SAID"),
        ("61-7-0001", "61", "NO"),
        ("extra", None, None),
    ]


def test_copies_of_an_utterance_keep_ids_of_their_own(sounds):
    folder = sounds("a/1-2-0003.wav", "b/1-2-0003.wav", "c/1-2-0004.wav", "c/1-2-0004.flac")
    (folder / "1-2.trans.txt").write_text("1-2-0003 HELLO\n1-2-0004 WORLD\n")
    corpus = data.load(folder)
    ids = [clip.id for clip in corpus]
    assert ids[:2] == ["a__1-2-0003", "b__1-2-0003"] and len(set(ids)) == 4
    assert [clip.text for clip in corpus] == ["HELLO", "HELLO", "WORLD", "WORLD"]
    assert {clip.speaker for clip in corpus} == {"1"}


def test_names_in_other_scripts(sounds):
    folder = sounds("你好.wav", "世界.wav", "कि.wav")
    assert {clip.id for clip in data.load(folder)} == {"你好", "世界", "कि"}
    (folder / "m.tsv").write_text("audio\tid\n你好.wav\t你好\n世界.wav\tΣ\n", encoding="utf-8")
    assert [clip.id for clip in data.load(folder / "m.tsv")] == ["你好", "Σ"]
    (folder / "m.tsv").write_text("audio\tid\n你好.wav\tΣ\n世界.wav\tσ\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="'σ' was already in line 2"):
        data.load(folder / "m.tsv")


def test_one_sound_file_is_a_corpus(sounds):
    assert [clip.id for clip in data.load(sounds("talk.wav") / "talk.wav")] == ["talk"]


@pytest.mark.parametrize(
    ("source", "says"),
    [("nothing-here", "neither a file"), ("librispeech/test", "librispeech/test-clean")],
)
def test_unknown_names_list_the_known_ones(source, says):
    with pytest.raises(CorpusError, match=says) as caught:
        data.load(source)
    assert "bundled" in str(caught.value) and "\n" not in str(caught.value)


def test_folders_and_files_without_sound_are_refused(tmp_path):
    with pytest.raises(CorpusError, match="holds no sound"):
        data.load(tmp_path)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(CorpusError, match="neither a manifest"):
        data.load(tmp_path / "a.txt")


def test_limit(sounds):
    folder = sounds("a.wav", "b.wav", "c.wav")
    assert [clip.id for clip in data.load(folder, limit=2)] == ["a", "b"]
    assert len(data.load(folder, limit=9)) == 3
    with pytest.raises(CorpusError, match="limit is 0"):
        data.load(folder, limit=0)


def test_sha256_is_of_contents_not_of_places(sounds, tmp_path):
    folder = sounds("x/a.wav", "x/b.wav", "y/a.wav", "y/b.wav")
    (folder / "y/a.wav").write_bytes((folder / "x/a.wav").read_bytes())
    (folder / "y/b.wav").write_bytes((folder / "x/b.wav").read_bytes())
    before = data.load(folder / "x").sha256
    assert data.load(folder / "y").sha256 == before
    assert data.load(folder / "x", limit=1).sha256 != before
    samples, rate = soundfile.read(folder / "y/b.wav")
    soundfile.write(folder / "y/b.wav", samples + 0.1, rate)
    assert data.load(folder / "y").sha256 != before
    (folder / "x/manifest.tsv").write_text("audio\ttext\na.wav\t\nb.wav\t\n")
    assert data.load(folder / "x").sha256 == before
    (folder / "x/manifest.tsv").write_text("audio\ttext\na.wav\thello\nb.wav\t\n")
    assert data.load(folder / "x").sha256 != before


def test_a_file_that_vanishes_is_named(sounds):
    corpus = data.load(sounds("a.wav"))
    corpus.clips[0].path.unlink()
    with pytest.raises(CorpusError, match="a.wav cannot be read"):
        _ = corpus.sha256


def test_clips_travel_to_other_processes(sounds):
    corpus = data.load(sounds("a.wav"))
    assert pickle.loads(pickle.dumps(corpus)) == corpus


def test_speech_is_expected_where_a_text_or_speaker_says_so():
    spoken, sung = Clip("a", text="hello"), Clip("b")
    corpus = Corpus("mixed", (spoken, sung))
    assert corpus.is_speech(spoken) and not corpus.is_speech(sung)
    assert Corpus("plain", (sung,)).is_speech(sung)


def test_ids_are_unique_safe_and_stable():
    paths = ["a b.wav", "a_b.wav", "A_B.flac", "x/y.wav", "x__y.wav", "ü.wav", ".wav", "é" * 200]
    paths += ["a.flac", "n" * 300 + ".wav", "n" * 300 + "1.wav"]
    ids = _ids.derive(paths)
    assert len({name.lower() for name in ids}) == len(paths)
    assert all(names.problem(name) is None for name in ids)
    assert ids[8] == "a" and ids[::-1] == _ids.derive(paths[::-1])


def test_the_bundled_corpus():
    corpus = data.load("bundled")
    size = sum(path.stat().st_size for path in bundled.FOLDER.rglob("*"))
    assert size < 6e6
    assert corpus.grammar is not None and corpus.licence
    assert {clip.label for clip in corpus.first(5)} == {"speech", "music", "sound"}
    assert len({clip.speaker for clip in corpus.first(8)} - {None}) == 5
    spoken = [clip for clip in corpus if clip.label == "speech"]
    for speaker in {clip.speaker for clip in spoken}:  # each voice says each word once
        texts = [clip.text.split() for clip in spoken if clip.speaker == speaker]
        assert [len(set(slot)) for slot in zip(*texts, strict=True)] == [10] * 5
    words = set(Path(corpus.grammar).read_text().replace("|", " ").replace(";", " ").split())
    assert all(word in words for clip in spoken for word in clip.text.split())
    for clip in corpus:
        audio = clip.read()
        assert (audio.sample_rate, audio.channels) == (16_000, 1) and 1 < audio.duration < 5


# LibriSpeech: a tiny archive in its layout, served from a file.


def archive(path, names: dict[str, bytes]) -> str:
    """Writes a .tar.gz; returns its sha256."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A function that serves an archive as dev-clean; the cache is empty."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(160), 16_000, format="FLAC")
    root = "LibriSpeech/dev-clean/84/1/84-1"
    good = {f"{root}-0000.flac": buffer.getvalue(), f"{root}.trans.txt": b"84-1-0000 GO ON\n"}
    monkeypatch.setenv("AUDIOTOK_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(librispeech, "URL", (tmp_path / "served").as_uri() + "/{split}.tar.gz")
    (tmp_path / "served").mkdir()

    def serve(names=None, sha256=None):
        result = archive(tmp_path / "served/dev-clean.tar.gz", good if names is None else names)
        monkeypatch.setitem(librispeech.SHA256, "dev-clean", sha256 or result)
        return tmp_path

    return serve


def test_librispeech_is_downloaded_once(server):
    folder = server()
    corpus = data.load("librispeech/dev-clean")
    assert [(c.id, c.speaker, c.text) for c in corpus] == [("84-1-0000", "84", "GO ON")]
    assert (corpus.name, corpus.licence) == ("librispeech/dev-clean", "CC BY 4.0")
    (folder / "served/dev-clean.tar.gz").unlink()
    assert data.load("librispeech/dev-clean") == corpus
    assert [p.name for p in (folder / "cache/librispeech").iterdir()] == ["dev-clean"]


def test_without_network_it_says_where_to_put_the_file(server):
    folder = server()
    local = folder / "cache/librispeech/dev-clean.tar.gz"
    (folder / "served/dev-clean.tar.gz").rename(folder / "kept.tar.gz")
    with pytest.raises(CorpusError, match="cannot be downloaded") as caught:
        data.load("librispeech/dev-clean")
    assert str(local) in str(caught.value) and "\n" not in str(caught.value)
    (folder / "kept.tar.gz").rename(local)
    assert len(data.load("librispeech/dev-clean")) == 1


def test_a_damaged_archive_is_refused(server):
    folder = server(sha256="0" * 64)
    with pytest.raises(CorpusError, match="expected 0000"):
        data.load("librispeech/dev-clean")
    assert not list((folder / "cache/librispeech").iterdir())


@pytest.mark.parametrize("name", ["../../out.txt", "/tmp/audiotok-out.txt", "LibriSpeech/../../x"])
def test_an_archive_cannot_write_outside(server, name):
    folder = server({name: b"x", "LibriSpeech/dev-clean/a.txt": b""})
    with pytest.raises(CorpusError):
        data.load("librispeech/dev-clean")
    left = {p.name for p in folder.rglob("*.txt")}
    assert not left & {"out.txt", "audiotok-out.txt", "x"}


def test_an_archive_of_too_many_files_is_refused(server, monkeypatch):
    monkeypatch.setattr(_download, "MAX_FILES", 1)
    server()
    with pytest.raises(CorpusError, match="more than 1 files"):
        data.load("librispeech/dev-clean")


def test_manifests_of_all_formats_agree(sounds):
    folder = sounds("a.wav", "b.wav")
    rows = [("a.wav", "two words", "7"), ("b.wav", "", "8")]
    (folder / "m.tsv").write_text("audio\ttext\tspeaker\n" + "\n".join("\t".join(r) for r in rows))
    (folder / "m.csv").write_text('audio,text,speaker\r\na.wav,"two words",7\r\nb.wav,,8\r\n')
    objects = [{"audio": a, "text": t or None, "speaker": int(s), "x": [1]} for a, t, s in rows]
    (folder / "m.jsonl").write_text("\n\n".join(json.dumps(o) for o in objects))
    corpora = [data.load(folder / f"m{extension}") for extension in (".tsv", ".csv", ".jsonl")]
    assert corpora[0] == corpora[1] == corpora[2]
    assert corpora[0].name == "m" and corpora[0].clips[1].text is None


def test_a_folder_names_what_it_leaves_out(tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", np.zeros(160), 16_000)
    for name in ("b.txt", "c.pdf", "84-1.trans.txt", ".hidden.m4a"):
        (tmp_path / name).write_bytes(b"")
    assert len(data.load(tmp_path)) == 1
    assert "2 files are left out, no sound: b.txt, c.pdf" in caplog.text


def test_a_folder_whose_name_is_no_utf8(tmp_path):
    folder = tmp_path / os.fsdecode(b"d\xe9")
    folder.mkdir()
    soundfile.write(tmp_path / "a.wav", np.zeros(160), 16_000)
    (tmp_path / "a.wav").rename(folder / os.fsdecode(b"caf\xe9.wav"))
    corpus = data.load(folder)
    assert corpus.name == "d\\udce9"
    corpus.clips[0].id.encode()
    assert corpus.clips[0].read().num_samples == 160
