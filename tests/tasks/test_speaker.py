"""speaker: similarity, identification and trials on bundled clips of two voices; EER by hand."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from audiotok import data
from audiotok.data import Clip, Corpus
from audiotok.judges.speakers.resemblyzer import Resemblyzer
from audiotok.sound.audio import Audio
from audiotok.tasks import Item, _voices, get
from audiotok.tasks._voices import equal_error_rate

needs_resemblyzer = pytest.mark.skipif(
    Resemblyzer().missing() is not None, reason="Resemblyzer is not installed"
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


@needs_resemblyzer
def test_the_same_sound_is_the_same_voice(task, corpus):
    rms = clip(corpus, "rms_0")
    row = task.score(Item(rms, rms.read(), rms.read()))
    trials = row.pop("speaker_trials")
    assert row == {"speaker_similarity": pytest.approx(1, abs=1e-5), "speaker_identified": 1.0}
    same, other = _voices._parsed(trials)
    assert len(same) == 1 and len(other) == 2  # rms_1; slt_0 and slt_1
    assert same.min() > other.max()


@needs_resemblyzer
def test_another_voice_is_told_apart(task, corpus):
    rms, slt = clip(corpus, "rms_0"), clip(corpus, "slt_0").read()
    row = task.score(Item(rms, rms.read(), slt.resample(24_000)))
    assert row["speaker_similarity"] < 0.8 and row["speaker_identified"] == 0.0


@needs_resemblyzer
def test_the_error_rate_of_a_corpus(task, corpus):
    """Of the sounds themselves 0; where each clip became the other voice 1."""

    def rate(names):
        pairs = [(clip(corpus, a), clip(corpus, b)) for a, b in names.items()]
        rows = [task.score(Item(a, a.read(), b.read())) for a, b in pairs]
        return task.summarise(pd.DataFrame(rows), [])["speaker_eer"]

    names = ["rms_0", "rms_1", "slt_0", "slt_1"]
    assert rate(dict(zip(names, names, strict=True))) == 0
    assert rate(dict(zip(names, names[2:] + names[:2], strict=True))) == 1
    assert {c.name for c in task.columns} == {
        "speaker_similarity", "speaker_identified", "speaker_eer"
    }  # fmt: skip


@needs_resemblyzer
def test_embeddings_are_kept(task, corpus, monkeypatch):
    audio = clip(corpus, "rms_0").read()
    embedding = task.embed(audio)
    monkeypatch.setattr(task.encoder, "embed", None, raising=False)  # heard: not computed again
    assert task.embed(audio) is embedding


def test_music_has_no_speaker(task, corpus):
    audio = Audio(torch.rand(1, 1000), 16_000)
    assert task.score(Item(clip(corpus, "music"), audio, audio)) == {}


@needs_resemblyzer
def test_without_a_second_speaker_nobody_is_identified(corpus):
    task = get("speaker")
    task.prepare(Corpus("one voice", tuple(c for c in corpus if c.speaker == "rms")))
    audio = clip(corpus, "rms_0").read()
    row = task.score(Item(clip(corpus, "rms_0"), audio, audio))
    assert set(row) == {"speaker_similarity"}
    assert task.summarise(pd.DataFrame([row]), []) == {}


class Angle:
    """An encoder whose embedding is the first sample, as an angle."""

    name, label, identity = "angle", "", {}

    def embed(self, audio):
        angle = float(audio.waveform[0, 0])
        return np.array([np.cos(angle), np.sin(angle)], np.float32)


def test_trials_are_those_with_four_other_clips_of_each_speaker(monkeypatch):
    """Six clips of a, three of b, one of c, who has no other clip; by hand."""
    angles = {"a": [0.0, 0.1, 0.2, 0.3, 0.4, 0.9], "b": [1.0, 1.1, 1.2], "c": [0.5]}
    sounds = {
        f"{voice}{i}": Audio(torch.full((1, 9), angle), 16_000)
        for voice, all_of in angles.items()
        for i, angle in enumerate(all_of)
    }
    monkeypatch.setattr(Clip, "read", lambda clip: sounds[clip.id])
    monkeypatch.setattr(_voices, "_references", {})
    clips = {name: Clip(name, speaker=name[0]) for name in sounds}
    task = get("speaker")
    task.encoder = Angle()
    task.prepare(Corpus("angles", tuple(clips.values())))
    row = task.score(Item(clips["a1"], sounds["a1"], sounds["b0"]))
    assert row["speaker_identified"] == 0
    same = [f"{np.cos(1 - angle):.4f}" for angle in (0.0, 0.2, 0.3, 0.4)]
    other = [f"{np.cos(1 - angle):.4f}" for angle in (1.0, 1.1, 1.2)]
    assert row["speaker_trials"] == f"{' '.join(same)} | {' '.join(other)}"
    assert set(task.score(Item(clips["c0"], sounds["c0"], sounds["c0"]))) == {"speaker_similarity"}


@pytest.mark.parametrize(
    ("same", "other", "rate"),
    [
        ([3, 4, 5], [0, 1, 2], 0.0),  # told apart
        ([0, 1, 2], [3, 4, 5], 1.0),  # always wrong
        ([1, 2, 3, 4], [1, 2, 3, 4], 0.5),  # chance
        ([1, 1], [1, 1, 1], 0.5),  # one score for all
        ([4, 3, 1], [2, 0, 0], 1 / 3),  # at 2: one of three refused, one of three accepted
        # Thresholds 1, 2: no one of two refused, 1/3 accepted; half refused, 0 accepted: they meet
        # where 0.5 t = 1/3 (1 - t), t = 0.4.
        ([1, 3], [1, 0, 0], 0.2),
    ],
)
def test_equal_error_rate_by_hand(same, other, rate):
    assert equal_error_rate(np.array(same), np.array(other)) == pytest.approx(rate)


def test_equal_error_rate_of_two_normal_distributions():
    """Means one apart, deviation 1: they meet at half way, Phi(-0.5) = 0.3085."""
    generator = np.random.default_rng(0)
    same, other = generator.normal(1, 1, 20_000), generator.normal(0, 1, 50_000)
    assert equal_error_rate(same, other) == pytest.approx(0.3085, abs=0.005)
