"""The language model's task on codecs that are known by hand."""

import dataclasses

import numpy as np
import pytest
import soundfile
import torch
from support.plain_codecs import CONSTANT, COPY, NOISE, Halting

from audiotok import tasks
from audiotok.data import Clip, Corpus
from audiotok.errors import MetricError
from audiotok.harness.summary import frame
from audiotok.lm import acoustic
from audiotok.lm.learning import Budget
from audiotok.tasks import _bpe, _continuations, _embedded

RATE = 8000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder, clips = tmp_path_factory.mktemp("lm"), []
    generator = np.random.default_rng(0)
    for number in range(8):
        path = folder / f"{number}.wav"
        soundfile.write(path, 0.1 * generator.standard_normal(round(5.2 * RATE)), RATE)
        split = "test" if number > 3 else "train"
        clips.append(Clip(str(number), path, speaker="ab"[number % 2], split=split))
    return Corpus("noise", tuple(clips))


@pytest.fixture(autouse=True)
def protocol(monkeypatch):
    budget = Budget(seconds=120, crop_seconds=1, batch_size=4, learning_rate=5e-3)
    small = dataclasses.replace(acoustic.PROTOCOL, dimension=16, heads=2, layers=1, budget=budget)
    monkeypatch.setattr(acoustic, "PROTOCOL", small)
    task = tasks.get("acoustic_lm")
    missing = [f"continuation_{w}{t}" for w in _continuations.ABOUT for t in ("", "_true")]
    monkeypatch.setattr(
        type(task), "left_out", lambda self: {name + self.suffix: "" for name in missing}
    )


def concluded(codec, corpus, name="acoustic_lm", side=None):
    task = tasks.get(name)
    tokens = [dataclasses.replace(codec.encode(clip.path), side=side) for clip in corpus]
    rows = task.conclude(corpus, tokens, lambda text: None, codec)
    entries = [{"clip": str(i), "values": row, "failures": []} for i, row in rows.items()]
    table = frame("", entries, [task])
    return rows, task.summarise(table, tokens), task.details(table, tokens)


def test_a_constant_costs_nothing_and_tells_nothing(corpus, monkeypatch):
    fast = Budget(seconds=240, crop_seconds=1, batch_size=4, learning_rate=3e-2)
    monkeypatch.setattr(acoustic, "PROTOCOL", dataclasses.replace(acoustic.PROTOCOL, budget=fast))
    rows, whole, details = concluded(CONSTANT, corpus)
    assert set(rows) == {4, 5, 6, 7}
    assert whole["lm_bitrate"] < 32  # of 1600 that its codebooks could hold
    assert whole["lm_accuracy"] == 1
    for kind in ("speaker", "background", "reversed"):
        assert {row[f"pairs_{kind}"] for row in rows.values()} == {0.5}
        assert details[f"pairs_{kind}"]["pairs"] == 4


def test_noise_costs_what_it_holds(corpus):
    rows, whole, details = concluded(NOISE, corpus)
    full = 100 * 10 + 50 * 1  # bits per second
    assert whole["lm_bitrate"] == pytest.approx(full, rel=0.1)
    assert whole["lm_bitrate"] >= 0.99 * full
    assert len(details["lm_accuracy"]) == 2 and details["lm_accuracy"][0] < 0.02
    assert whole["lm_bitrate_seed_std"] >= 0
    seeds = [whole[f"lm_bitrate_seed_{seed}"] for seed in range(3)]
    assert whole["lm_bitrate"] == pytest.approx(np.mean(seeds))
    row = rows[5]
    assert row["lm_bitrate"] == pytest.approx(row["lm_bits"] * row["lm_codes"] / row["lm_seconds"])


@pytest.fixture
def few_steps(monkeypatch):
    """For what does not depend on how well a model has learnt."""
    budget = Budget(seconds=16, crop_seconds=1, batch_size=4)
    short = dataclasses.replace(acoustic.PROTOCOL, budget=budget)
    monkeypatch.setattr(acoustic, "PROTOCOL", short)


def test_side_information_is_paid_for(corpus, few_steps):
    """It counts in the bits of every seed, and in those by frequency, which the saving is of."""
    side = torch.zeros(520, dtype=torch.int32)  # 16,640 bits in 5.2 s: 3,200 bit/s
    _, without, _ = concluded(NOISE, corpus)
    _, rows, _ = concluded(NOISE, corpus, side=side)
    for name in ("lm_bitrate", *(f"lm_bitrate_seed_{seed}" for seed in range(3))):
        assert rows[name] == pytest.approx(without[name] + 3200)
    before = without["lm_bitrate"] / (1 - without["lm_saving"])
    assert 1 - rows["lm_saving"] == pytest.approx(rows["lm_bitrate"] / (before + 3200))
    assert rows["lm_bits"] == pytest.approx(without["lm_bits"])  # of a code


def test_sounds_have_no_codes(corpus):
    task = tasks.get("acoustic_lm")
    table = frame("", [{"clip": "a", "values": {}, "failures": []}], [task])
    assert task.summarise(table, []) == {} and task.details(table, []) == {}


def test_the_same_again(corpus, few_steps):
    assert concluded(NOISE, corpus)[0] == concluded(NOISE, corpus)[0]


def test_other_models_have_columns_of_their_own(corpus, few_steps):
    rows, whole, _ = concluded(CONSTANT, corpus, "acoustic_lm:rq")
    assert set(rows[5]) >= {"lm_bitrate_rq", "pairs_speaker_rq"} and "lm_bitrate_rq" in whole
    assert {c.name for c in tasks.get("acoustic_lm:rq").columns} >= {"lm_bitrate_rq"}
    with pytest.raises(MetricError, match="has the models delay, parallel"):
        tasks.get("acoustic_lm:diagonal")


def test_two_models_in_one_result_do_not_mix(corpus, few_steps):
    alone, together = {}, {}
    for name in ("acoustic_lm", "acoustic_lm:parallel"):
        rows, alone[name], _ = concluded(CONSTANT, corpus, name)
        for index, row in rows.items():
            together.setdefault(index, {}).update(row)
        if name == "acoustic_lm":  # which the other model does not have
            random = np.random.default_rng(0)
            for row in together.values():
                row["continuation_embeddings"] = _embedded.text(random.standard_normal((2, 3)))
    entries = [{"clip": str(i), "values": row, "failures": []} for i, row in together.items()]
    for name, expected in alone.items():
        task = tasks.get(name)
        whole = task.summarise(frame("", entries, [task]), [])
        assert {column: whole[column] for column in expected} == expected
        assert "continuation_mmd_parallel" not in whole


def test_what_cannot_be_asked(corpus):
    task, notes = tasks.get("acoustic_lm"), []
    tokens = [COPY.encode(clip.path) for clip in corpus]
    assert task.conclude(corpus, tokens, notes.append, COPY) == {}
    assert "8000 frames per second, of 200 at most" in notes[0]
    assert task.conclude(corpus, None, notes.append) == {}
    with pytest.raises(MetricError, match="without --only-cache"):
        task.conclude(corpus, tokens, notes.append)
    alone = Corpus("one", corpus.clips[:1])
    assert "1 clips to train on and 0 to test" in task.unsuited(alone)


def test_it_goes_on_from_the_beginning_of_a_clip(corpus, monkeypatch, few_steps):
    task, sounds = tasks.get("acoustic_lm"), []
    monkeypatch.setattr(type(task), "left_out", lambda self: {})

    def score(start, rest, recorded, *, suffix, left_out):
        assert not left_out and recorded.num_samples == rest.num_samples
        sounds.append((start.duration, rest.duration, suffix))
        return {f"continuation_similarity{suffix}": 1.0}

    monkeypatch.setattr(_continuations, "scores", score)
    tokens = [NOISE.encode(clip.path) for clip in corpus]
    rows = task.conclude(corpus, tokens, lambda text: None, NOISE)
    assert sounds == [(2.0, 3.0, ""), (2.0, 3.0, "_true")] * 4
    assert rows[6]["continuation_similarity_true"] == 1.0


@pytest.mark.parametrize(("name", "more"), [("acoustic_lm:bpe", {}), ("acoustic_lm", {"max": 4})])
def test_bpe_and_variable_rates_cost_bits_of_the_same_sound(corpus, monkeypatch, name, more):
    pytest.importorskip("tokenizers")
    short = dataclasses.replace(acoustic.PROTOCOL, budget=Budget(seconds=8, batch_size=2))
    monkeypatch.setattr(acoustic, "PROTOCOL", short)
    monkeypatch.setattr(_bpe, "MERGES", 16)
    codec = Halting(more.get("max", 1))
    rows, whole, _ = concluded(codec, corpus, name)
    suffix = "_bpe" if name.endswith("bpe") else ""
    assert {f"lm_bitrate{suffix}", f"pairs_speaker{suffix}"} <= set(rows[4])
    tokens = codec.encode(corpus.clips[4].path)
    codes = rows[4][f"lm_codes{suffix}"]
    assert codes == tokens.segmented().codes.numel() if more else codes < tokens.num_frames
    assert 0 < whole[f"lm_bitrate{suffix}"] < 3 * 50 * 3
