"""Reconstruction, and what holds for every task: found, picklable, one failure costs one metric."""

import dataclasses
import pickle

import pytest
import torch

from audiotok import metrics, tasks
from audiotok.data import Clip, Corpus
from audiotok.errors import MetricError
from audiotok.metrics._check import noisy, voice
from audiotok.sound.audio import Audio
from audiotok.tasks import Item, Task
from audiotok.tasks.reconstruction import Reconstruction


def _item(reference, reconstruction):
    return Item(clip=None, reference=reference, reconstruction=reconstruction)


def test_tasks_are_found_by_name():
    assert {"reconstruction", "speed", "tokens"} <= set(tasks.names())
    for name in tasks.names():
        task = tasks.get(name)
        assert isinstance(task, Task)
        assert task.name == name
        assert type(pickle.loads(pickle.dumps(task))) is type(task)
    with pytest.raises(MetricError, match="no task is named 'tokes'; did you mean 'tokens'?"):
        tasks.get("tokes")


def test_a_row_holds_every_column():
    task = pickle.loads(pickle.dumps(Reconstruction()))
    item = _item(voice(24_000, 1), noisy(voice(24_000, 1), 0.01))
    row = task.score(item)
    assert set(row) == {column.name for column in task.columns}
    assert row == task.score(item)
    expected = metrics.compute("stoi", reference=item.reference, reconstruction=item.reconstruction)
    assert expected.items() <= row.items()


def test_the_reference_itself_is_the_ceiling():
    row = Reconstruction().score(_item(voice(16_000, 1), voice(16_000, 1)))
    assert row["mel_distance"] == row["stft_distance_16k"] == row["lag_ms"] == 0
    assert row["si_sdr"] == row["si_sdr_aligned"] == 100
    assert row["stoi"] == pytest.approx(1)
    if "pesq" in row:
        assert row["pesq"] == pytest.approx(4.644, abs=1e-3)


def test_one_failing_metric_leaves_the_others():
    short = Audio(voice(16_000, 1).waveform[:, 2000:5000], 16_000)
    row = Reconstruction().score(_item(short, noisy(short, 0.01)))
    for column in ("stoi", "estoi", "pesq"):
        assert isinstance(row.get(column, MetricError()), MetricError)
    assert isinstance(row["mel_distance"], float)
    assert isinstance(row["si_sdr"], float)


def test_metrics_of_speech_are_left_out_for_music():
    corpus = Corpus("mixed", (Clip("said", text="yes"), Clip("played", label="piano")))
    task = Reconstruction(["stoi", "mel_distance"])
    task.prepare(corpus)
    speech, music = (
        task.score(Item(clip, voice(16_000, 1), noisy(voice(16_000, 1), 0.01))) for clip in corpus
    )
    assert {"stoi", "estoi"} <= speech.keys()
    assert music.keys() == {"mel_distance", "mel_distance_16k"}


def test_silence_is_missing_not_zero():
    silence = Audio(torch.zeros(1, 16_000), 16_000)
    row = Reconstruction(["si_sdr", "stoi"]).score(_item(silence, silence))
    assert row
    assert all(isinstance(value, MetricError) for value in row.values())


def test_a_missing_package_leaves_its_columns_out(monkeypatch):
    pesq = dataclasses.replace(metrics.get("pesq"), packages=("a_package_nobody_has",))
    get = metrics.get
    monkeypatch.setattr(metrics, "get", lambda name: pesq if name == "pesq" else get(name))
    task = Reconstruction(["stoi", "pesq", "si_sdr"])
    assert task.available() is None
    assert list(task.left_out()) == ["pesq"]
    assert "pip install 'audiotok[bench]'" in task.left_out()["pesq"]
    assert "pesq" not in {column.name for column in task.columns}
    assert "pesq" not in task.score(_item(voice(16_000, 1), voice(16_000, 1)))
