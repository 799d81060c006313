"""What files say never becomes a path outside of the folder that the user named."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from support import shard_kit
from typer.testing import CliRunner

import audiotok
from audiotok import corpora, data
from audiotok.cli import app
from audiotok.errors import AudiotokError, CorpusError
from audiotok.harness.journal import Journal, _line
from audiotok.lm import pairs
from audiotok.sound.audio import write

IDS = [
    "../escaped", "{root}/escaped", "C:\\escaped", "a/b", "a\0b", "x" * 300, "..", "nul", "", " a",
]  # fmt: skip


@pytest.fixture
def shards(tmp_path, monkeypatch):
    """Two clips as tokens in tok/; gives what changes the ids in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        sound(f"in/{name}.wav")
    corpora.encode("in", "mulaw", "tok", workers=0)

    def put(ids):
        made = [tokens for _, tokens in corpora.read("tok")]
        shutil.rmtree("tok")
        shard_kit.write(Path("tok"), made, ids)

    return put


def sound(path):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write(path, audiotok.Audio(torch.zeros(1, 400), 16000))


@pytest.mark.parametrize("name", IDS)
def test_ids_in_shards(shards, tmp_path, name):
    shards([name.format(root=tmp_path), "b"])
    before = set(tmp_path.rglob("*"))
    result = CliRunner().invoke(app, ["decode", "tok", "-o", "deep/out"])
    assert isinstance(result.exception, CorpusError)
    assert "no safe file name" in str(result.exception)
    made = set(tmp_path.rglob("*")) - before
    assert made <= {tmp_path / "deep", tmp_path / "deep" / "out"}
    with pytest.raises(CorpusError):
        corpora.TokenDataset("tok")[0]
    with pytest.raises(CorpusError):
        corpora.export_webdataset("tok", "tars")


@pytest.mark.parametrize("name", ["b", "B"])
def test_ids_that_are_there_twice(shards, name):
    shards([name, "b"])
    with pytest.raises(CorpusError, match="the id b belongs to another clip already"):
        list(corpora.read("tok"))


@pytest.mark.parametrize("index", ["../x", -1, True, 1.5, None, 10**12])
def test_journals(tmp_path, index):
    plan = {"a": 1}
    journal = Journal(tmp_path, plan)
    entry = {"clip": "a", "values": {}, "failures": []}
    journal.append(entry | {"index": 0})
    journal.close()
    with open(journal.path, "ab") as file:
        file.write(_line(entry | {"index": index, "tokens": False}))
    again = Journal(tmp_path, plan)
    again.close()
    assert list(again.entries) == [0]


def test_links_of_a_manifest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sound("elsewhere/secret.wav")
    sound("set/own.wav")
    os.symlink("../elsewhere/secret.wav", "set/out.wav")
    os.symlink("own.wav", "set/beside.wav")
    os.symlink("../elsewhere", "set/folder")
    manifest = Path("set/manifest.tsv")
    manifest.write_text("audio\nown.wav\nbeside.wav\n")
    assert len(data.load("set")) == 2
    for cell in ("out.wav", "folder/secret.wav"):
        manifest.write_text(f"audio\n{cell}\n")
        with pytest.raises(CorpusError, match="AUDIOTOK_FOLLOW_LINKS=1") as caught:
            data.load("set")
        assert "leads out of the manifest's folder" in str(caught.value)
        manifest.write_text(f"audio\treference\nown.wav\t{cell}\n")
        with pytest.raises(CorpusError, match="reference .* leads out"):
            data.load("set")
    monkeypatch.setenv("AUDIOTOK_FOLLOW_LINKS", "1")
    assert len(data.load("set")) == 1
    monkeypatch.delenv("AUDIOTOK_FOLLOW_LINKS")
    manifest.unlink()
    assert len(data.load("set")) >= 3  # a plain folder of links, which the user named


def test_a_grammar_that_is_a_link_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sound("set/own.wav")
    Path("secret").write_text("x")
    os.symlink("../secret", "set/grammar.jsgf")
    Path("set/manifest.tsv").write_text("audio\nown.wav\n")
    with pytest.raises(CorpusError, match="grammar.jsgf is a link that leads out"):
        data.load("set")


def test_a_manifest_that_is_a_link_as_in_the_cache_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sound("blobs/1.wav")
    Path("blobs/2").write_text("audio\na.wav\n")
    Path("snapshots/main").mkdir(parents=True)
    os.symlink("../../blobs/1.wav", "snapshots/main/a.wav")
    os.symlink("../../blobs/2", "snapshots/main/manifest.tsv")
    assert len(data.load("snapshots/main")) == 1


@pytest.mark.parametrize("value", ["../a.wav", "{root}/a.wav", "C:\\a.wav", "x/../../a.wav"])
def test_pairs_of_sounds(tmp_path, value):
    sound(tmp_path / "a.wav")
    folder = tmp_path / "pairs"
    sound(folder / "b.wav")
    value = value.format(root=tmp_path)
    (folder / "pairs.tsv").write_text(f"right\twrong\n{value}\tb.wav\n")
    with pytest.raises(CorpusError, match="pairs names"):
        pairs.read(folder)
    (folder / "pairs.tsv").unlink()
    (folder / "gold.csv").write_text(f"id,filename,voice,correct\n1,{value},v,1\n1,b,v,0\n")
    with pytest.raises(CorpusError, match="pairs names"):
        pairs.read(folder)


@pytest.mark.parametrize("value", ["../../../a.wav", "{root}/a.wav"])
def test_lists_of_known_corpora(tmp_path, monkeypatch, value):
    monkeypatch.setenv("AUDIOTOK_CACHE", str(tmp_path / "cache"))
    sound(tmp_path / "a.wav")
    folder = tmp_path / "cache" / "esc50"
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    value = value.format(root=tmp_path)
    (folder / "meta" / "esc50.csv").write_text(f"filename,fold,category\n{value},1,dog\n")
    with pytest.raises(CorpusError, match="the lists of"):
        data.load("esc50/1")


def test_the_name_of_a_recipe(tmp_path):
    from support.training_kit import write_recipe

    from audiotok.training import load_recipe

    for name in ("../x", "/x", "a/b", "x" * 300, "a\n"):
        path = write_recipe(tmp_path / "r.yaml", "clips", name=name)
        with pytest.raises(AudiotokError, match="name = "):
            load_recipe(path)
