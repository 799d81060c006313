"""Probes on toy codecs whose codes say all, nothing, or always the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from audiotok import tasks
from audiotok.data import Clip, Corpus
from audiotok.harness import summary
from audiotok.probes import PROTOCOL, training
from audiotok.tasks import _probe, probe_asr
from audiotok.tokens import Tokens

RATE = 50  # frames per second
SMALL = {
    "dimension": 16,
    "batch_clips": 16,
    "min_steps": 40,
    "max_steps": 40,
    "learning_rate": 2e-2,
}


@pytest.fixture
def protocol(monkeypatch):
    """A function that changes the protocol until the test ends; it starts out small."""

    def change(**values):
        for name, value in values.items():
            monkeypatch.setitem(vars(PROTOCOL), name, value)

    change(**SMALL)
    return change


def coded(codes):
    """Tokens of one codebook of 16 codes."""
    codes = torch.as_tensor(codes)[None, None]
    return Tokens(codes, "toy", "0" * 64, codes.shape[-1] * 16_000 // RATE, 16_000, (16,))


def codec(kind, classes):
    """Codes of clips of these classes (numbers): 'copies', 'noise' or 'constant'."""
    generator = np.random.default_rng(0)
    tokens = []
    for number in classes:
        codes = generator.integers(16, size=generator.integers(10, 30))
        if kind == "copies":
            codes = np.where(generator.random(len(codes)) < 0.7, number, codes)
        tokens.append(coded(np.zeros_like(codes) if kind == "constant" else codes))
    return tokens


def scores(task, corpus, tokens, notes=None):
    """What a summary says of these tokens, and the rows."""
    notes = [] if notes is None else notes
    rows = task.conclude(corpus, tokens, notes.append)
    entries = [
        {"index": i, "clip": clip.id, "values": rows.get(i, {}), "failures": []}
        for i, clip in enumerate(corpus)
    ]
    return summary.scores(entries, [task], tokens, 0), rows


CLASSES = [i % 4 for i in range(120)]
LABELLED = Corpus("toy", tuple(Clip(f"c{i}", label=str(c)) for i, c in enumerate(CLASSES)))


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [("copies", 0.95, 1.0), ("noise", 0.0, 0.5), ("constant", 0.25, 0.25)],
)
def test_labels(protocol, kind, low, high):
    summary_scores, rows = scores(tasks.get("probe_label"), LABELLED, codec(kind, CLASSES))
    accuracy = summary_scores["probe_label_accuracy"]
    assert low <= accuracy["mean"] <= high and accuracy["n"] == 24
    assert summary_scores["probe_label_accuracy_chance"]["mean"] == 0.25
    assert summary_scores["probe_label_accuracy_diverged"]["mean"] == 0
    seeds = [summary_scores[f"probe_label_accuracy_seed_{seed}"]["mean"] for seed in PROTOCOL.seeds]
    assert accuracy["mean"] == pytest.approx(np.mean(seeds))
    spread = summary_scores["probe_label_accuracy_seed_std"]
    assert spread["mean"] == pytest.approx(np.std(seeds, ddof=1)) and spread["n"] == 24
    assert len(rows) == 24


def test_the_same_numbers_again_whatever_was_drawn_before(protocol):
    task, tokens = tasks.get("probe_label"), codec("noise", CLASSES)
    first = task.conclude(LABELLED, tokens, lambda text: None)
    torch.manual_seed(5)
    torch.rand(3)
    assert task.conclude(LABELLED, tokens, lambda text: None) == first


def test_clips_that_failed_are_neither_trained_on_nor_tested(protocol):
    task, tokens = tasks.get("probe_label"), codec("copies", CLASSES)
    tested = task.split(LABELLED).test
    broken = [None if i in (tested[0], 0, 1) else one for i, one in enumerate(tokens)]
    summary_scores, rows = scores(task, LABELLED, broken)
    assert tested[0] not in rows and summary_scores["probe_label_accuracy"]["n"] == len(rows)
    assert len(rows) == len(set(tested) - {tested[0], 0, 1})


@pytest.mark.parametrize("rate", [1e4, float("inf")])
def test_diverged_seeds_are_counted_and_stay_in_the_mean(protocol, rate):
    protocol(learning_rate=rate)
    summary_scores, rows = scores(tasks.get("probe_label"), LABELLED, codec("noise", CLASSES))
    assert summary_scores["probe_label_accuracy_diverged"]["mean"] == 3
    assert summary_scores["probe_label_accuracy"]["n"] == len(rows) == 24


def test_speakers_are_learned_as_labels_are(protocol):
    clips = tuple(Clip(f"c{i}", speaker=str(c)) for i, c in enumerate(CLASSES))
    summary_scores, _ = scores(
        tasks.get("probe_speaker"), Corpus("toy", clips), codec("copies", CLASSES)
    )
    assert summary_scores["probe_speaker_accuracy"]["mean"] > 0.95


SPELT = ["ab", "cab", "bac", "abc", "cba", "acb", "ca", "bca"]
SPOKEN = Corpus("toy", tuple(Clip(f"c{i}", text=SPELT[i % 8].upper()) for i in range(160)))


def spell(text, generator):
    """Each letter some frames of its code, with silence between."""
    parts = [np.r_[[ord(x) - 96] * generator.integers(2, 4), 0, 0] for x in text]
    return coded(np.concatenate([[0], *parts]))


def test_a_toy_language_is_recognised(protocol):
    protocol(min_steps=100, max_steps=100, dropout=0.0)
    generator = np.random.default_rng(0)
    tokens = [spell(clip.text.lower(), generator) for clip in SPOKEN]
    summary_scores, rows = scores(tasks.get("probe_asr"), SPOKEN, tokens)
    assert summary_scores["probe_wer"]["mean"] < 0.1 and summary_scores["probe_cer"]["mean"] < 0.05
    assert (
        summary_scores["probe_wer_diverged"]["mean"] == 0 and summary_scores["probe_wer"]["n"] == 32
    )
    index, row = next(iter(rows.items()))
    assert row["probe_words"] == 1 and row["probe_letters"] == len(SPOKEN.clips[index].text)
    transcripts = [row[f"probe_transcript_seed_{seed}"] for seed in PROTOCOL.seeds]
    assert all(set(text) <= set("abc") for text in transcripts)


def test_words_count_by_their_number():
    rows = [{"probe_words": 1.0, "probe_wer": 1.0}, {"probe_words": 3.0, "probe_wer": 0.0}]
    rows = [r | {f"probe_wer_seed_{s}": r["probe_wer"] for s in (0, 1, 2)} for r in rows]
    entries = [{"clip": str(i), "values": row, "failures": []} for i, row in enumerate(rows)]
    summary_scores = summary.scores(entries, [tasks.get("probe_asr")], [], 0)
    assert (
        summary_scores["probe_wer"]["mean"] == 0.25
        and summary_scores["probe_wer_seed_std"]["mean"] == 0
    )


def test_letters_collapse_by_the_rule_of_ctc():
    assert probe_asr.collapse([0, 1, 1, 0, 1, 2, 2, 0], ("a", "b")) == "aab"
    assert probe_asr.collapse([0, 0], ("a",)) == ""


VOICES = [i // 6 for i in range(96)]
SPEAKERS = Corpus("toy", tuple(Clip(f"c{i}", speaker=f"s{v}") for i, v in enumerate(VOICES)))


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("copies", 0.0, 0.3), ("noise", 0.35, 0.65), ("constant", 0.5, 0.5)]
)
def test_voices_that_were_not_trained_on(protocol, kind, low, high):
    """A voice is the mixture of two codes, of which others have other mixtures."""
    generator = np.random.default_rng(1)
    tokens = codec(kind, VOICES)
    if kind == "copies":
        tokens = [
            coded(np.where(generator.random(24) < (v // 4 + 1) / 5, v % 4, 8)) for v in VOICES
        ]
    summary_scores, rows = scores(tasks.get("probe_verification"), SPEAKERS, tokens)
    assert low <= summary_scores["probe_eer"]["mean"] <= high
    tested = tasks.get("probe_verification").split(SPEAKERS).test
    assert summary_scores["probe_eer"]["n"] == len(rows) == len(tested) == 18
    assert all(row["probe_trials"] == 17 for row in rows.values())
    low_end, high_end = summary_scores["probe_eer"]["ci95"]
    assert low_end <= high_end


def test_no_head_is_trained_on_a_speaker_it_is_tested_on(protocol, monkeypatch):
    """Whatever the corpus calls train and test."""
    protocol(min_steps=10, max_steps=10)
    clips = [replace(c, split="test" if i < 31 else "train") for i, c in enumerate(SPEAKERS.clips)]
    corpus, trained_on = Corpus("toy", tuple(clips)), []

    def train(make, objective, inputs, clips, **options):
        trained_on.append({corpus.clips[index].speaker for index in clips})
        return true_train(make, objective, inputs, clips, **options)

    true_train = training.train
    monkeypatch.setattr(training, "train", train)
    rows = tasks.get("probe_verification").conclude(corpus, codec("noise", VOICES), print)
    tested = {corpus.clips[index].speaker for index in rows}
    assert tested == {f"s{v}" for v in range(6)} and len(trained_on) == len(PROTOCOL.seeds)
    assert all(speakers and not speakers & tested for speakers in trained_on)


def test_columns_are_named_after_the_seeds():
    names = [column.name for column in _probe.columns("x", True, "of x")]
    assert names == ["x", "x_seed_0", "x_seed_1", "x_seed_2", "x_seed_std", "x_diverged"]
