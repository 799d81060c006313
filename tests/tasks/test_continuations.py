"""Measures of continuations with judges that are known by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from audiotok import tasks
from audiotok.errors import MetricError
from audiotok.sound.audio import Audio
from audiotok.tasks import _continuations, speaker

RATE = 16_000


class Recogniser:
    """Hears one word more, the smaller it is; nothing in silence."""

    identity = {"revision": "1"}

    def __init__(self, name):
        self.name = name

    def missing(self):
        return None

    def transcribe(self, audio, language=None):
        if not audio.waveform.any():
            return ""
        return "one two three four" + (" five" if self.name == "tiny.en" else "")

    def embed(self, audio):
        return audio.waveform[0, :4].numpy()


class Score:
    def __init__(self, name):
        self.name = name

    def missing(self):
        return None

    def __call__(self, audio):
        return {"dnsmos_p808": 2.0, "distillmos": 3.0}


class Voices:
    def embed(self, audio):
        return np.array([1.0, 0.0])


@pytest.fixture(autouse=True)
def judges(monkeypatch):
    monkeypatch.setattr(_continuations, "Whisper", Recogniser)
    monkeypatch.setattr(_continuations, "_encoder", lambda: Recogniser("base"))
    monkeypatch.setattr(_continuations.mos, "get", Score)
    monkeypatch.setattr(speaker, "Speaker", Voices)


def sound(seed, offset=0.0):
    wave = torch.randn(1, RATE, generator=torch.Generator().manual_seed(seed)) + offset
    return Audio(wave, RATE)


def scored(number, offset=0.0):
    recorded = sound(number)
    rest = sound(number, offset)
    return _continuations.scores(sound(99), rest, recorded, suffix="", left_out=set())


def test_all_measures_of_one_continuation():
    row = scored(0)
    assert row["continuation_wer"] == 1 / 4 and row["continuation_words"] == 4
    assert row["continuation_similarity"] == 1
    assert (row["continuation_dnsmos"], row["continuation_distillmos"]) == (2, 3)
    only = _continuations.scores(
        sound(1), sound(2), sound(3), suffix="_true", left_out={"wer", "mmd", "dnsmos"}
    )
    assert set(only) == {"continuation_similarity_true", "continuation_distillmos_true"}


def test_nothing_heard_is_no_error_rate():
    silence = Audio(torch.zeros(1, RATE), RATE)
    row = _continuations.scores(sound(1), silence, sound(3), suffix="", left_out={"mmd"})
    assert isinstance(row["continuation_wer"], MetricError) and row["continuation_dnsmos"] == 2


def test_the_distance_of_sets_is_0_for_the_recordings_themselves():
    same = pd.DataFrame([scored(number) for number in range(12)])
    assert _continuations.summarise(same)["continuation_mmd"] == pytest.approx(0, abs=1e-9)
    other = pd.DataFrame([scored(number, offset=2.0) for number in range(12)])
    found = _continuations.summarise(other)
    assert found["continuation_mmd"] > 0.2 and found["continuation_wer"] == 1 / 4


def test_what_is_missing_is_left_out_and_the_rest_is_not(monkeypatch):
    reason = MetricError("no weights")
    monkeypatch.setattr(
        Recogniser, "missing", lambda self: reason if self.name == "tiny.en" else None
    )
    assert _continuations.missing() == {"wer": reason}
    task = tasks.get("acoustic_lm:rq")
    assert set(task.left_out()) == {"continuation_wer_rq", "continuation_wer_true_rq"}
    assert task.left_out().keys() < {column.name for column in task.columns}
    assert task.identity == {"whisper base revision": "1"}
    assert task.basis("continuation_mmd_true_rq") == "continuation_embeddings_true_rq"
