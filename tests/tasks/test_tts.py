"""The task tts: words skipped and said again, voices, costs out of the metadata of a file."""

import json

import numpy as np
import pandas
import pytest
import torch

from audiotok.data import Clip, Corpus
from audiotok.sound.audio import Audio, write
from audiotok.tasks import Item, tts

SOUND = Audio(torch.rand(1, 16_000) - 0.5, 16_000)


@pytest.mark.parametrize(
    "heard, skips, repeats",
    [
        ("the big red ball", 0, 0),
        ("the red ball", 1, 0),
        ("the big big red ball", 0, 1),
        ("the big red ball the big red ball", 0, 3),
        ("the big blue red ball", 0, 0),  # another word, and not one of the text
        ("the big read ball", 0, 0),
        ("", 4, 0),
    ],
)
def test_skipped_and_repeated_words(heard, skips, repeats):
    assert tts.skips_and_repetitions("the big red ball", heard) == (skips, repeats)


def test_words_of_the_text_that_repeat_are_no_repetitions():
    text = "row row row your boat row row row your boat"
    assert tts.skips_and_repetitions(text, text) == (0, 0)
    assert tts.skips_and_repetitions(text, "row row your boat row row row your boat") == (1, 0)


class Heard:
    name, identity, label, languages, script = "heard", {}, "", None, None

    def missing(self):
        return None

    def transcribe(self, audio, language=None):
        return "one two two three four"


class Voice:
    name, identity, label = "voice", {}, ""

    def missing(self):
        return None

    def embed(self, audio):
        return np.array([0.6, 0.8])


@pytest.fixture
def task(monkeypatch):
    found = tts.Tts()
    found.recogniser, found.encoder = Heard(), Voice()
    found.mos = type("Mos", (), {"missing": lambda self: ValueError("no"), "identity": {}})()
    cosines = {"a.wav": np.array([1.0, 0.0]), "b.wav": np.array([0.0, 1.0])}
    monkeypatch.setattr(tts, "_prompt_embedding", lambda path: cosines[path.name])
    return found


def clip(tmp_path, **about):
    return Clip("c", tmp_path / "c.wav", "one two three", "a", prompt=tmp_path / "a.wav", **about)


def test_a_clip_has_its_rates_voice_and_costs(task, tmp_path):
    one = clip(tmp_path, label="plain")
    about = {"synthetic": True, "steps": 25, "seconds": {"ar": 0.5, "nar": 0.25}}
    write(one.path, SOUND, comment=json.dumps(about))
    other = Clip("d", tmp_path / "d.wav", "x", "b", prompt=tmp_path / "b.wav")
    task.prepare(Corpus("toy", (one, other)))
    row = task.score(Item(one, SOUND, SOUND))
    assert row["tts_wer"] == pytest.approx(2 / 3) and row["tts_repeated"] == pytest.approx(1 / 3)
    assert row["tts_skipped"] == 0 and row["tts_words"] == 3
    assert row["tts_similarity"] == pytest.approx(0.6)
    assert row["tts_other_similarity"] == pytest.approx(0.8)
    assert row["tts_steps"] == 25 and row["tts_work"] == pytest.approx(0.75)
    assert row["tts_kind"] == "plain" and "tts_mos" not in row


def test_recordings_have_no_costs(task, tmp_path):
    one = clip(tmp_path)
    write(one.path, SOUND)
    assert not {"tts_steps", "tts_work"} & task.score(Item(one, None, SOUND)).keys()


def test_rates_are_of_all_words_and_of_each_kind(task):
    rows = pandas.DataFrame(
        {
            "tts_wer": [1.0, 0.0, 0.5], "tts_words": [1.0, 9.0, 10.0],
            "tts_kind": ["plain", "plain", "twister"],
        }
    )  # fmt: skip
    assert task.summarise(rows, [])["tts_wer"] == pytest.approx(6 / 20)
    kinds = task.details(rows, [])["tts_kinds"]
    assert kinds["plain"] == {"clips": 2, "tts_wer": pytest.approx(0.1)}
    assert kinds["twister"]["tts_wer"] == pytest.approx(0.5)


def test_corpora_without_prompts_are_unsuited(task, tmp_path):
    assert "no clip has a text and a prompt" in task.unsuited(Corpus("toy", (Clip("a", text="b"),)))
    assert task.unsuited(Corpus("toy", (clip(tmp_path),))) is None
