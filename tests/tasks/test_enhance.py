"""Enhancement and separation through the tasks, with judges that are known by hand."""

from __future__ import annotations

import dataclasses
import errno

import numpy as np
import pytest
import soundfile
import torch

from audiotok import enhancement, tasks
from audiotok.codec import registry
from audiotok.data import Clip, Corpus
from audiotok.enhancement import mixtures, model, training
from audiotok.errors import AudioError, CodecError, MetricError
from audiotok.harness.summary import frame
from audiotok.tasks import _mixtures
from audiotok.tasks.enhance import Enhance

RATE = 16_000
SMALL = dataclasses.replace(
    enhancement.PROTOCOL, width=8, blocks=1, steps=3, batch=2, train_mixtures=4, train_seconds=0.3,
    test_mixtures=3, test_seconds=0.6, decay=(0.05, 0.1),
)  # fmt: skip


class Judge:
    """Words are the loudness of tenths of a second; voice and quality are the level."""

    name, label, identity = "by hand", "", {}

    def __init__(self, *args):
        pass

    def missing(self):
        return None

    def transcribe(self, audio, language=None):
        parts = audio.waveform[0].split(audio.sample_rate // 10)
        return " ".join(f"w{round(40 * float(part.std()))}" for part in parts if len(part) > 99)

    def embed(self, audio):
        level = float(audio.waveform.std())
        return np.array([level, 1.0]) / np.hypot(level, 1.0)

    def __call__(self, audio):
        level = float(audio.waveform.std())
        if level == 0:
            raise MetricError("silence")
        return {"distillmos": level, "dnsmos_p808": 2 * level}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for module in (enhancement, mixtures, model, training):
        monkeypatch.setattr(module, "PROTOCOL", SMALL)
    monkeypatch.setattr(_mixtures, "_cached_mixtures", {})
    monkeypatch.setattr(_mixtures, "_cached_scores", {})
    monkeypatch.setattr(_mixtures, "Whisper", Judge)
    monkeypatch.setattr(_mixtures, "Resemblyzer", Judge)
    monkeypatch.setattr(_mixtures.mos, "get", lambda name: Judge())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder, clips = tmp_path_factory.mktemp("speech"), []
    for number in range(26):
        samples = np.random.default_rng(number).standard_normal(RATE // 2)
        path = folder / f"{number}.wav"
        soundfile.write(path, 0.1 * samples * np.sin(np.arange(RATE // 2) / 900), RATE)
        clips.append(Clip(f"clip{number}", path, speaker=f"s{number % 13}"))
    return Corpus("speech", tuple(clips))


def concluded(name, corpus, codec):
    task, notes = tasks.get(name), []
    tokens = None if codec is None else []
    rows = task.conclude(corpus, tokens, notes.append, codec)
    entries = [
        {"clip": str(i), "values": row, "failures": [], "speaker": corpus.clips[i].speaker}
        for i, row in rows.items()
    ]
    return task, rows, task.summarise(frame("", entries, [task]), []), notes


@pytest.mark.parametrize("name, seeds", [("enhance", 2), ("separate", 1)])
def test_every_column_is_filled_for_the_test_mixtures(name, seeds, corpus):
    codec = registry.load("rvq-small", quiet=True)
    task, rows, whole, _ = concluded(name, corpus, codec)
    table = frame("", [{"clip": str(i), "values": row, "speaker": f"s{i % 13}"}
                       for i, row in rows.items()], [task])  # fmt: skip
    found = mixtures.parts(corpus, None)
    speakers = task.details(table, [])[f"{name}_speakers"]
    assert speakers.keys() == {f"s{index % 13}" for index in rows}
    assert sum(own["mixtures"] for own in speakers.values()) == 3
    assert all(f"{name}_dwer_mixture" in own for own in speakers.values())
    assert set(rows) <= set(found.test) and len(rows) == 3
    names = {column.name for column in task.columns}
    assert len(names) == 4 * (5 + (seeds if seeds > 1 else 0)) + 1 and not task.left_out()
    for row in rows.values():
        assert set(row) == names
        assert all(np.isfinite(value) for value in row.values())
        if seeds > 1:
            each = [row[f"{name}_dwer_seed_{seed}"] for seed in range(seeds)]
            assert row[f"{name}_dwer"] == pytest.approx(np.mean(each))
    rates = np.array([[row[f"{name}_dwer"], row[f"{name}_words"]] for row in rows.values()])
    assert whole[f"{name}_dwer"] == pytest.approx(np.average(rates[:, 0], weights=rates[:, 1]))


def test_the_clean_column_is_the_reconstruction_and_the_mixture_is_the_mixture(corpus):
    codec = registry.load("rvq-small", quiet=True)
    task, rows, _, _ = concluded("enhance", corpus, codec)
    found = task.parts(corpus)
    mixture = task.mixture(corpus, found, "test", 0)
    row, judge = rows[mixture.index], Judge()
    expected = judge(codec.reconstruct(mixture.clean[0]))["distillmos"]
    assert row["enhance_distillmos_clean"] == pytest.approx(expected, rel=1e-3)
    assert row["enhance_distillmos_mixture"] == judge(mixture.sound)["distillmos"]
    untreated = judge(codec.reconstruct(mixture.sound))["distillmos"]
    assert row["enhance_distillmos_untreated"] == pytest.approx(untreated, rel=1e-3)


def test_the_ceiling_has_the_mixture_alone(corpus):
    _, rows, whole, _ = concluded("enhance", corpus, None)
    assert {name for row in rows.values() for name in row} == {
        f"enhance_{measure}_mixture" for measure in _mixtures.MEASURES
    } | {"enhance_words"}
    assert set(whole) == {"enhance_dwer_mixture"}


def test_a_mixture_is_scored_once_for_all_codecs(monkeypatch, corpus):
    scored, score = [], Judge.__call__
    monkeypatch.setattr(
        Judge, "__call__", lambda self, audio: scored.append(1) or score(self, audio)
    )
    first, second = (concluded("enhance", corpus, None)[1] for _ in range(2))
    assert first == second and len(scored) == 2 * len(first)


@pytest.mark.parametrize("name", ["mulaw", "random", "opus-6k"])
def test_a_codec_without_latents_is_left_out_with_a_word(name, corpus):
    codec = registry.load(name, quiet=True)
    _, rows, whole, notes = concluded("separate", corpus, codec)
    assert rows == {} == whole and any("separate left out: " in note for note in notes)


def test_noises_of_a_folder_are_part_of_the_name_and_the_identity(tmp_path):
    for number in range(2):
        samples = 0.1 * np.random.default_rng(number).standard_normal(RATE)
        soundfile.write(tmp_path / f"{number}.wav", samples, RATE)
    task = tasks.get(f"enhance:{tmp_path}")
    assert task.name == f"enhance:{tmp_path.name}"
    assert all(column.name.startswith("enhance_") for column in task.columns)
    assert not {c.name for c in task.columns} & {c.name for c in tasks.get("enhance").columns}
    before = task.identity["noises"]
    soundfile.write(tmp_path / "0.wav", np.full(RATE, 0.1), RATE)
    assert tasks.get(f"enhance:{tmp_path}").identity["noises"] != before


def test_what_is_missing_is_left_out_with_its_reason(monkeypatch, corpus):
    missing = MetricError("no weights")
    monkeypatch.setattr(Judge, "missing", lambda self: missing)
    for task in map(tasks.get, ("enhance", "separate")):
        assert "no weights" in task.available()
        assert task.left_out() == dict.fromkeys((c.name for c in task.columns), "no weights")
    assert tasks.get("separate").unsuited(dataclasses.replace(corpus, clips=corpus.clips[:1]))


def test_what_may_pass_is_raised_and_other_failures_are_noted(monkeypatch, corpus):
    def refused(cause):
        def mixture(*_):
            raise AudioError("a clip cannot be read") from cause

        monkeypatch.setattr(Enhance, "mixture", mixture)
        return concluded("enhance", corpus, None)

    with pytest.raises(AudioError):
        refused(OSError(errno.EMFILE, "Too many open files"))
    assert _mixtures._cached_mixtures == {}
    _, rows, _, notes = refused(None)
    assert rows == {} and sum("a clip cannot be read" in note for note in notes) == 3


def test_a_codec_that_fails_for_now_is_not_called_unsuited(monkeypatch, corpus):
    def encode_latents(*_):
        raise CodecError("cannot encode") from MemoryError()

    codec = registry.load("rvq-small", quiet=True)
    monkeypatch.setattr(type(codec), "encode_latents", encode_latents)
    with pytest.raises(CodecError):
        concluded("enhance", corpus, codec)


def test_a_diverged_model_is_no_result(monkeypatch):
    broken = [(torch.full((2, 30), torch.nan), torch.zeros(1, 2, 30))] * 3
    with pytest.raises(MetricError, match="seed 0 diverged at step 0"):
        training.train(broken, 0)
