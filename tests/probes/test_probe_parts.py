"""Splits, inputs, batches and error rates of the probes, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiotok.data import Clip, Corpus
from audiotok.errors import AudiotokError, CorpusError
from audiotok.probes import PROTOCOL, features, splits, trials
from audiotok.sound.audio import Audio
from audiotok.tokens import Tokens


def tokens(codes, sizes=(8,), seconds=1.0, **more):
    return Tokens(
        torch.tensor(codes), "toy", "0" * 64, int(16_000 * seconds), 16_000, sizes, **more
    )


def corpus(classes, **fields):
    return Corpus("toy", tuple(Clip(f"c{i}", label=c, **fields) for i, c in enumerate(classes)))


# --- equal error rate --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("same", "different", "rate"),
    [
        ([0.9, 0.8], [0.3, 0.1], 0.0),
        ([0.3, 0.1], [0.9, 0.8], 1.0),
        ([0.9, 0.7], [0.8, 0.1], 0.5),
        ([0.9, 0.6], [0.7, 0.2, 0.1], 1 / 3),
        ([0.5, 0.5], [0.5, 0.5, 0.5], 0.5),
    ],
)
def test_equal_error_rate_by_hand(same, different, rate):
    scores = np.array(same + different)
    kinds = np.arange(len(scores)) < len(same)
    assert trials.equal_error_rate(scores, kinds) == pytest.approx(rate)


def test_one_kind_of_trials_has_no_error_rate():
    assert np.isnan(trials.equal_error_rate(np.array([1.0, 2.0]), np.array([True, True])))


@settings(deadline=None, max_examples=60)
@given(data=st.data(), n=st.integers(2, 12))
def test_weights_count_as_repeated_trials(data, n):
    scores = np.array(data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)), dtype=float)
    weights = np.array(data.draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)))
    same = np.arange(n) % 2 == 0
    weighted = trials.equal_error_rate(scores, same, weights)
    repeated = trials.equal_error_rate(np.repeat(scores, weights), np.repeat(same, weights))
    assert weighted == pytest.approx(repeated)
    assert 0 <= weighted <= 1


def test_trials_are_all_pairs_or_a_fixed_draw(monkeypatch):
    clips = tuple(Clip(f"c{i}", speaker=f"s{i % 4}") for i in range(12))
    every = trials.pairs(Corpus("x", clips), tuple(range(12)))
    assert len(every) == 66
    monkeypatch.setattr(trials, "MAX_TRIALS", 20)
    some = trials.pairs(Corpus("x", clips), tuple(range(12)))
    same = [clips[a].speaker == clips[b].speaker for a, b in some]
    assert len(set(some)) == 20 and sum(same) == 10 and set(some) < set(every)
    named = Corpus("x", clips, trials=((True, "c0", "c4"), (False, "c1", "gone")))
    assert trials.pairs(named, (0, 1, 4)) == [(0, 4)]


# --- splits ------------------------------------------------------------------------------------


def test_every_fifth_clip_of_each_class_is_tested():
    result = corpus([name for name in "ab" for _ in range(20)] + [None])
    split = splits.by_class(result, [clip.label for clip in result])
    assert split.classes == ("a", "b") and 40 not in split.train + split.test
    assert sorted(split.train + split.test) == list(range(40))
    assert [sum(result.clips[i].label == x for i in split.test) for x in "ab"] == [4, 4]
    longer = replace(result, clips=(*result.clips[::-1], Clip("more", label="c")))
    again = splits.by_class(longer, [clip.label for clip in longer])
    chosen = {result.clips[i].id for i in split.test}
    assert {longer.clips[i].id for i in again.test} == chosen  # whatever the order, and others


def test_the_corpus_decides_where_it_has_a_split():
    parts = ["train", "train", "test", "validation", "test", None]
    clips = [Clip(f"c{i}", label="abacbc"[i], split=part) for i, part in enumerate(parts)]
    result = splits.by_class(Corpus("x", tuple(clips)), [clip.label for clip in clips])
    assert (result.train, result.test, result.classes) == ((0, 1), (2, 4), ("a", "b"))
    clips[4] = replace(clips[4], label="unheard")
    result = splits.by_class(Corpus("x", tuple(clips)), [clip.label for clip in clips])
    assert result.test == (2,)


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        ([None] * 6, "have 0 classes: expected 2"),
        (["a"] * 6, "have 1 classes: expected 2"),
        (["a", "b", "c"], "no test clip has a class"),
    ],
)
def test_corpora_without_classes_say_so(classes, says):
    with pytest.raises(CorpusError, match=says):
        splits.by_class(corpus(classes), classes)


def test_voices_to_test_are_not_trained_on():
    clips = tuple(Clip(f"c{i}", speaker=f"s{i // 2}") for i in range(30))
    result = splits.by_speaker(Corpus("x", clips))
    tested = {clips[i].speaker for i in result.test}
    assert len(tested) == 3 and not tested & set(result.classes) and len(result.classes) == 12
    parts = tuple(replace(c, split="test" if i < 8 else "train") for i, c in enumerate(clips))
    result = splits.by_speaker(Corpus("x", parts))
    assert result.test == tuple(range(8)) and result.train == tuple(range(8, 30))
    parts = tuple(replace(c, split="test" if i < 7 else "train") for i, c in enumerate(clips))
    result = splits.by_speaker(Corpus("x", parts))  # clip 7 is of a speaker with a clip to test
    assert result.test == tuple(range(7)) and result.train == tuple(range(8, 30))
    with pytest.raises(
        CorpusError, match="8 speakers to train on and 2 others to test: expected 10 and 2"
    ):
        splits.by_speaker(Corpus("x", clips[:20]))
    with pytest.raises(CorpusError, match="no test speaker has two clips"):
        splits.by_speaker(Corpus("x", clips[::2]))


# --- inputs ------------------------------------------------------------------------------------


def test_codes_of_mono_and_stereo_clips():
    mono = tokens([[[1, 2, 3]] * 2], (8, 8), 0.06)
    stereo = tokens([[[0, 1], [2, 3]], [[4, 5], [6, 7]]], (8, 8), 0.04)
    inputs = features.of_tokens([mono, None, stereo])
    assert inputs.frame_rate == pytest.approx(50) and inputs.repeat == 1
    frames, lengths = inputs.batch([0, 2])
    assert frames.shape == (2, 3, 2, 2) and lengths.tolist() == [3, 2]
    assert frames[0].tolist() == [[[c, c], [c, c]] for c in (1, 2, 3)]
    assert frames[1, 1].tolist() == frames[1, 2].tolist() == [[1, 3], [5, 7]]
    assert inputs.clips[1] is None and inputs.seconds == (0.06, 0.0, 0.04)


@pytest.mark.parametrize(("frames", "repeat"), [(12, 5), (13, 4), (25, 2), (50, 1), (75, 1)])
def test_slow_frames_are_repeated(frames, repeat):
    inputs = features.of_tokens([tokens([[[0] * frames]])])
    assert inputs.repeat == repeat
    assert inputs.repeat * inputs.frame_rate >= PROTOCOL.min_rate


def test_crops_lie_inside_their_clip():
    inputs = features.of_tokens([tokens([[[i % 8 for i in range(100)]]]), tokens([[[7] * 100]])])
    for start, first in (0.0, 0), (0.999, 50 % 8):
        frames, lengths = inputs.batch([0, 1], [start, 0.0], 0.5)
        assert lengths.tolist() == [50, 50]
        assert int(frames[0, 0]) == first


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([None], "no clip has tokens"),
        ([tokens([[[0] * 201]])], "201 frames per second: the heads are made for at most 200"),
        ([tokens([[[0]]]), tokens([[[0]]], (4,))], "different codecs"),
    ],
)
def test_tokens_that_no_head_is_made_for(found, says):
    with pytest.raises(AudiotokError, match=says):
        features.of_tokens(found)


def test_log_mel_rises_where_the_tone_is():
    time = np.arange(8000) / 16_000
    bands = []
    for hz in (300, 1000, 4000):
        sound = torch.from_numpy(np.sin(2 * np.pi * hz * time)).float()[None]
        spectrum = features.log_mel(Audio(sound, 16_000))
        assert spectrum.shape == (51, 80) and spectrum.dtype == np.float32
        bands.append(int(spectrum[25].argmax()))
    assert bands == sorted(set(bands))
    assert np.all(features.log_mel(Audio(torch.zeros(1, 3), 16_000)) == -5)
