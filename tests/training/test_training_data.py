"""Crops are functions of the seed and their number; what is broken is passed over and named."""

import shutil
import sys
import time
import types
from io import BytesIO

import numpy as np
import pytest
import soundfile
import torch
from support.training_kit import write_corpus, write_recipe

from audiotok.errors import CorpusError, MissingPackageError, RecipeError
from audiotok.training import crops as crops_module
from audiotok.training import load_recipe, sounds, train
from audiotok.training.crops import Crops, read_piece
from audiotok.training.index import make_index
from audiotok.training.loader import batches
from audiotok.training.settings import DataConfig


def data(**settings):
    return DataConfig(corpus="c", crop_seconds=0.5, batch_size=2, **settings)


def make_crops(corpus, numbers=None, seed=0, channels=1, **settings):
    found = sounds.Joined([sounds.load(str(corpus))])
    index = make_index(found, numbers or range(len(found.ids)))
    return Crops(found, index, data(**settings), sample_rate=8000, channels=channels, seed=seed)


def test_no_speaker_is_on_both_sides(corpus):
    found = sounds.Joined([sounds.load(str(corpus))])
    train_numbers, validation = sounds.split_speakers(found, data(validation_fraction=0.34), seed=3)
    assert len(train_numbers) + len(validation) == 6
    sides = [{found.speakers[n] for n in side} for side in (train_numbers, validation)]
    assert not sides[0] & sides[1]
    assert sounds.split_speakers(found, data(validation="other"), 3) == (list(range(6)), [])


def test_crops_depend_on_their_number_and_the_seed_alone(corpus):
    settings = {"gain_db": (-6, 6), "mixing": {"probability": 0.5, "snr_db": (0, 10)}}
    one, other = (make_crops(corpus, **settings) for _ in range(2))
    drawn = [one[i].waveform for i in (3, 1, 2)]
    assert all(crop.shape == (1, 4000) for crop in drawn)
    assert torch.equal(other[2].waveform, drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(make_crops(corpus, seed=1, **settings)[3].waveform, drawn[0])


def test_batches_are_the_same_from_any_number_of_workers_and_processes(corpus):
    expected = torch.cat(list(batches(make_crops(corpus, workers=0), 0, 6, broken=set())))
    for workers in (1, 2):
        found = torch.cat(list(batches(make_crops(corpus, workers=workers), 0, 6, broken=set())))
        assert torch.equal(found, expected)
    later = torch.cat(list(batches(make_crops(corpus, workers=2), 4, 6, broken=set())))
    assert torch.equal(later, expected[8:])
    shares = [
        list(batches(make_crops(corpus, workers=0), 0, 3, broken=set(), rank=rank, count=2))
        for rank in range(2)
    ]
    together = torch.cat([torch.cat(pair) for pair in zip(*shares, strict=True)])
    assert torch.equal(together, expected)


def test_crops_come_from_all_the_sound_alike(tmp_path):
    """A file three times as long is met three times as often, in all its places."""
    time_line = np.arange(8000 * 4) / 8000 / 8  # rises from 0 to 0.5
    soundfile.write(tmp_path / "a.wav", time_line[:8000], 8000, subtype="FLOAT")
    soundfile.write(tmp_path / "b.wav", time_line[8000:], 8000, subtype="FLOAT")
    crops = make_crops(tmp_path)
    starts = np.array([crops[i].waveform[0, 0].item() * 8 for i in range(600)])
    assert 0.2 < (starts < 1).mean() < 0.3
    inside = starts[starts >= 1]
    assert inside.min() < 1.1 and inside.max() > 3.4
    assert abs(inside.mean() - 2.25) < 0.1


def test_levels_and_mixing(tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.wav", 0.1 * rng.standard_normal(16000), 8000, subtype="FLOAT")
    plain = make_crops(tmp_path)[0].waveform
    louder = make_crops(tmp_path, gain_db=(6, 6))[0].waveform
    torch.testing.assert_close(louder, plain * 10 ** (6 / 20))
    peak = make_crops(tmp_path, peak_db=(-6, -6))[0].waveform
    assert peak.abs().max().item() == pytest.approx(10 ** (-6 / 20))
    mixed = make_crops(tmp_path, mixing={"probability": 1, "snr_db": (10, 10)})[0].waveform
    added = mixed - plain
    ratio = 10 * torch.log10(plain.square().mean() / added.square().mean())
    assert ratio.item() == pytest.approx(10, abs=1e-3)


def test_a_piece_is_read_by_seeking_at_the_wanted_rate_and_channels(corpus):
    found = sounds.load(str(corpus))
    assert read_piece(found, 3, samples=None, sample_rate=8000, channels=2).shape == (2, 12000)
    assert read_piece(found, 3, samples=100, sample_rate=16000, channels=1, place=0.5).shape == (
        1,
        100,
    )
    assert read_piece(found, 2, samples=9999, sample_rate=8000, channels=1).shape == (
        1,
        2400,
    )  # shorter than asked for


@pytest.fixture
def damaged(tmp_path):
    """The corpus, and beside it what real folders hold."""
    folder = write_corpus(tmp_path)
    (folder / "text.wav").write_text("this is no sound")
    soundfile.write(folder / "empty.wav", np.zeros(0), 8000)
    (folder / "nothing.wav").write_bytes(b"")
    soundfile.write(folder / "cut.flac", np.random.default_rng(0).uniform(-1, 1, 16000), 8000)
    whole = (folder / "cut.flac").read_bytes()
    (folder / "cut.flac").write_bytes(whole[: len(whole) // 2])  # its header promises more
    bad = np.full(8000, np.nan, dtype=np.float32)
    soundfile.write(folder / "nan.wav", bad, 8000, subtype="FLOAT")
    rows = "".join(f"{name}\tspeaker0\n" for name in BROKEN)
    with (folder / "manifest.tsv").open("a") as manifest:
        manifest.write(rows)
    return folder


BROKEN = ("text.wav", "empty.wav", "nothing.wav", "cut.flac", "nan.wav")


def test_broken_recordings_are_passed_over_and_named_once(damaged, tmp_path):
    recipe = write_recipe(tmp_path / "tiny.yaml", damaged, data={"validation": str(damaged)})
    notes, out = [], tmp_path / "run"
    small = ["log_every=1", "steps=12", "validate_every=6", "losses.stft=0"]
    train(recipe, small, out, note=notes.append)
    named = [
        name for note in notes if "left out" in note for name in note.split(": ")[1].split(", ")
    ]
    assert sorted(named) == sorted(name.partition(".")[0] for name in BROKEN)
    card = (out / "README.md").read_text()
    assert (
        "| 5 recordings that could not be read, left out | cut, empty, nan, nothing, text |" in card
    )
    notes.clear()
    train(recipe, small, out, note=notes.append)
    assert notes == []
    crops = make_crops(damaged)
    assert {name for i in range(40) for name in crops[i].broken} == {"cut", "nan"}
    assert all(crops[i].waveform.isfinite().all() for i in range(40))


def test_a_corpus_of_broken_recordings_is_refused(tmp_path):
    (tmp_path / "a.wav").write_text("no sound")
    with pytest.raises(RecipeError, match="none of 1 recordings can be opened, 'a' first"):
        make_crops(tmp_path)
    soundfile.write(tmp_path / "a.wav", np.full(8000, np.nan, np.float32), 8000, subtype="FLOAT")
    for workers in (0, 1):
        with pytest.raises(RecipeError, match="no recording can be read any more; 1 are broken"):
            next(batches(make_crops(tmp_path, workers=workers), 0, 1, broken=set()))


def test_lengths_are_kept_until_the_recordings_change(corpus, tmp_path, monkeypatch):
    shutil.copytree(corpus, tmp_path / "c")
    found = sounds.load(str(tmp_path / "c"))
    first = make_index(found, range(6), tmp_path / "index.json")
    opened = []
    true_open = sounds.Files.open
    monkeypatch.setattr(
        sounds.Files, "open", lambda self, n: opened.append(n) or true_open(self, n)
    )
    again = make_index(found, range(6), tmp_path / "index.json")
    assert not opened and again.digest == first.digest
    soundfile.write(tmp_path / "c/0.wav", np.zeros(4000), 8000)
    changed = make_index(found, range(6), tmp_path / "index.json")
    assert len(opened) == 6 and changed.digest != first.digest and changed.seconds[0] == 0.5


def test_a_run_refuses_another_corpus_than_it_was_trained_on(corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "c")
    recipe = write_recipe(tmp_path / "tiny.yaml", tmp_path / "c")
    train(recipe, ["steps=4"], tmp_path / "run")
    soundfile.write(tmp_path / "c/0.wav", np.ones(4000) / 9, 8000)
    soundfile.write(tmp_path / "c/4.wav", np.ones(4000) / 9, 8000)
    with pytest.raises(RecipeError, match="are not those that .* was trained on so far"):
        train(recipe, ["steps=4"], tmp_path / "run")


def test_a_stalled_loader_stops_the_run(recipe_file, tmp_path, monkeypatch):
    monkeypatch.setattr(crops_module, "read_piece", lambda *a, **k: time.sleep(2))
    with pytest.raises(RecipeError, match="the loader has stalled: no batch came within"):
        train(recipe_file, ["data.timeout_seconds=0.5"], tmp_path / "run")


def test_a_worker_that_dies_stops_the_run(recipe_file, tmp_path, monkeypatch):
    import os

    monkeypatch.setattr(crops_module, "read_piece", lambda *a, **k: os._exit(3))
    with pytest.raises(RecipeError, match="a worker that reads the data died"):
        train(recipe_file, (), tmp_path / "run")


def test_rows_of_a_dataset_are_a_corpus(corpus, tmp_path, monkeypatch):
    """Against a stand-in for the package `datasets`: rows with bytes, or with paths."""
    with pytest.raises(MissingPackageError, match="hf:org/name needs the package datasets"):
        monkeypatch.setitem(sys.modules, "datasets", None)
        sounds.load("hf:org/name")

    class Rows:
        column_names = ["audio", "speaker_id", "id"]
        _fingerprint = "abc"

        def __len__(self):
            return 6

        def cast_column(self, name, kind):
            assert (name, kind) == ("audio", "encoded")
            return self

        def __getitem__(self, number):
            path = corpus / f"{number}.wav"
            inside = path.read_bytes() if number % 2 else None
            return {"audio": {"bytes": inside, "path": str(path)}}

    class Named(dict):
        column_names = ("id", "speaker_id")

    Rows.remove_columns = lambda self, name: Named(
        speaker_id=[n // 2 for n in range(6)], id=[f"r{n}" for n in range(6)]
    )

    def load_dataset(name, split):
        if name != "org/name":
            raise ValueError("no such\ndataset")
        assert split == "dev"
        return Rows()

    stand_in = types.SimpleNamespace(load_dataset=load_dataset, Audio=lambda decode: "encoded")
    monkeypatch.setitem(sys.modules, "datasets", stand_in)
    found = sounds.load("hf:org/name:dev")
    assert isinstance(found.open(1), BytesIO) and found.speakers[5] == "2"
    index = make_index(found, range(6))
    crops = Crops(sounds.Joined([found]), index, data(), sample_rate=8000, channels=1, seed=0)
    files = make_crops(corpus)
    assert torch.equal(crops[4].waveform, files[4].waveform)
    with pytest.raises(CorpusError, match="hf:other cannot be loaded .ValueError: no such dataset"):
        sounds.load("hf:other")


def test_loading_a_recipe_reads_no_data(recipe_file):
    assert (
        load_recipe(recipe_file, ["data.corpus=/nowhere/at/all"]).data.corpus == "/nowhere/at/all"
    )
