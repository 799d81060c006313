"""speaker: similarity and identification on bundled clips of two voices."""

from __future__ import annotations

import importlib.util
import pickle

import pytest
import torch

from audiotok import data
from audiotok.audio import Audio
from audiotok.data import Clip, Corpus
from audiotok.errors import MetricError
from audiotok.tasks import Item, get
from audiotok.tasks import speaker as module

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("resemblyzer") is None, reason="Resemblyzer is not installed"
)


@pytest.fixture(scope="module")
def corpus():
    clips = [c for c in data.load("bundled") if c.id in ("rms_0", "rms_1", "slt_0", "slt_1")]
    return Corpus("two voices", (*clips, Clip("music")))


@pytest.fixture(scope="module")
def task(corpus):
    task = get("speaker")
    task.prepare(corpus)
    assert task.available() is None
    return pickle.loads(pickle.dumps(task))


def clip(corpus, name):
    return next(c for c in corpus if c.id == name)


def test_the_same_sound_is_the_same_voice(task, corpus):
    rms = clip(corpus, "rms_0")
    row = task.score(Item(rms, rms.read(), rms.read()))
    assert row == {"speaker_similarity": pytest.approx(1, abs=1e-5), "speaker_identified": 1.0}


def test_another_voice_is_told_apart(task, corpus):
    rms, slt = clip(corpus, "rms_0"), clip(corpus, "slt_0").read()
    row = task.score(Item(rms, rms.read(), slt.resample(24_000)))
    assert row["speaker_similarity"] < 0.8 and row["speaker_identified"] == 0.0


def test_embeddings_are_unit_vectors_and_kept(corpus, monkeypatch):
    audio = clip(corpus, "rms_0").read()
    embedding = module.embed(audio)
    assert embedding.shape == (256,) and embedding @ embedding == pytest.approx(1, abs=1e-5)
    monkeypatch.setattr(module, "_embed", None)  # heard before: not computed again
    assert module.embed(audio) is embedding


@pytest.mark.parametrize("samples", [1, 100, 16_000])
def test_no_voice_no_number(samples):
    for waveform in (torch.zeros(1, samples), 1e-4 * torch.ones(1, samples)):
        with pytest.raises(MetricError, match="no speaker|no voice"):
            module.embed(Audio(waveform, 16_000))


def test_music_has_no_speaker(task, corpus):
    audio = clip(corpus, "rms_0").read()
    assert task.score(Item(clip(corpus, "music"), audio, audio)) == {}


def test_without_a_second_speaker_nobody_is_identified(corpus):
    task = get("speaker")
    task.prepare(Corpus("one voice", tuple(c for c in corpus if c.speaker == "rms")))
    audio = clip(corpus, "rms_0").read()
    assert set(task.score(Item(clip(corpus, "rms_0"), audio, audio))) == {"speaker_similarity"}
