"""Mixtures: what the recipe says is what is in the sound; training and test share nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import soundfile
import torch

from audiotok.data import Clip, Corpus
from audiotok.enhancement import PROTOCOL, mixtures
from audiotok.errors import CorpusError

RATE = 8000


@pytest.fixture(autouse=True)
def small_rooms(monkeypatch):
    dry = dataclasses.replace(mixtures.PROTOCOL, decay=(0.05, 0.1))
    monkeypatch.setattr(mixtures, "PROTOCOL", dry)


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Three clips of 1 s of each of twelve speakers."""
    folder, clips = tmp_path_factory.mktemp("speech"), []
    for number in range(36):
        path = folder / f"{number}.wav"
        soundfile.write(path, 0.1 * np.random.default_rng(number).standard_normal(RATE), RATE)
        clips.append(Clip(f"clip{number}", path, speaker=f"s{number % 12}"))
    return Corpus("speech", tuple(clips))


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    """Ten clips of noise from five recordings."""
    folder, clips = tmp_path_factory.mktemp("noises"), []
    for number in range(10):
        path = folder / f"{number}.wav"
        noise = np.random.default_rng(100 + number).uniform(-0.3, 0.3, RATE // 2)
        soundfile.write(path, noise, RATE)
        clips.append(Clip(f"noise{number}", path, session=f"recording {number // 2}"))
    return Corpus("noises", tuple(clips))


def test_training_and_test_share_no_speaker_and_no_source(speech, noises):
    found = mixtures.parts(speech, noises)
    assert not set(found.train) & set(found.test) and found.train and found.test
    voices = [{speech.clips[i].speaker for i in part} for part in (found.train, found.test)]
    assert not voices[0] & voices[1]
    sources = [{clip.session for clip in found.noises[part]} for part in ("train", "test")]
    assert not sources[0] & sources[1] and set.union(*sources) == {c.session for c in noises}


def test_the_splits_of_a_corpus_of_noises_are_kept(noises):
    split = ("train", "train", "validation", "test", "test")
    marked = tuple(
        dataclasses.replace(clip, split=split[number // 2]) for number, clip in enumerate(noises)
    )
    found = mixtures._split_by_source(dataclasses.replace(noises, clips=marked))
    assert {clip.session for clip in found["train"]} == {"recording 0", "recording 1"}
    assert {clip.session for clip in found["test"]} == {"recording 3", "recording 4"}


def test_one_source_cannot_be_split(speech, noises):
    with pytest.raises(CorpusError, match="1 sources of noise: expected two"):
        mixtures.parts(speech, noises.first(2))


def test_the_noise_is_as_loud_as_the_recipe_says(speech, noises):
    found = mixtures.parts(speech, noises)
    rooms, levels = 0, []
    for number in range(16):
        mixture = mixtures.with_noise(speech, found, "train", number)
        low, high = PROTOCOL.snr
        assert low <= mixture.recipe["snr"] <= high
        (clean,) = mixture.clean
        assert clean.waveform.shape == mixture.sound.waveform.shape
        noise = mixture.sound.waveform - clean.waveform
        measured = 20 * float(torch.log10(clean.waveform.std() / noise.std()))
        if "decay" in mixture.recipe:
            rooms += 1  # what the room adds counts as noise here
        else:
            levels.append((measured, mixture.recipe["snr"]))
    assert 3 <= rooms <= 13
    measured, asked = zip(*levels, strict=True)
    assert measured == pytest.approx(asked, abs=0.1)


def test_a_mixture_does_not_depend_on_the_order_of_the_clips(speech, noises):
    turned = dataclasses.replace(speech, clips=speech.clips[::-1])
    for make in (mixtures.with_noise, mixtures.of_two_speakers):
        first = make(speech, mixtures.parts(speech, noises), "test", 2)
        second = make(turned, mixtures.parts(turned, noises), "test", 2)
        assert speech.clips[first.index] == turned.clips[second.index]
        assert torch.equal(first.sound.waveform, second.sound.waveform)


def test_later_turns_of_a_clip_are_other_mixtures(speech, noises):
    found = mixtures.parts(speech, noises)
    once, again = (
        mixtures.with_noise(speech, found, "train", number) for number in (0, len(found.train))
    )
    assert once.index == again.index and once.recipe != again.recipe


def test_two_speakers(speech):
    found = mixtures.parts(speech, None)
    for number in range(5):
        mixture = mixtures.of_two_speakers(speech, found, "test", number)
        first, second = mixture.clean
        assert torch.allclose(first.waveform + second.waveform, mixture.sound.waveform, atol=1e-6)
        level = 20 * float(torch.log10(second.waveform.std() / first.waveform.std()))
        assert level == pytest.approx(mixture.recipe["level"], abs=0.01)
        other = next(clip for clip in speech if clip.id == mixture.recipe["other"])
        assert other.speaker != speech.clips[mixture.index].speaker


def test_two_speakers_must_be_known(speech):
    nameless = tuple(dataclasses.replace(clip, speaker=None) for clip in speech)
    corpus = dataclasses.replace(speech, clips=nameless)
    with pytest.raises(CorpusError, match="0 speakers in its clips to train"):
        mixtures.two_speakers(mixtures.parts(corpus, None), corpus)


def test_any_folder_has_noises_but_speech_has_none(noises, speech, tmp_path):
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", np.full(160, 0.1), RATE)
    assert len(mixtures.noise_corpus(str(tmp_path))) == 3
    assert {clip.label for clip in mixtures.bundled_noises()} == {"sound"}
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text("audio\tspeaker\n0.wav\ta\n1.wav\tb\n")
    with pytest.raises(CorpusError, match="has no noises: all its clips are speech"):
        mixtures.noise_corpus(str(manifest))


def test_a_corpus_of_noises_is_never_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOTOK_DATA", str(tmp_path))
    with pytest.raises(CorpusError, match="enhance names the corpus .* not on this machine"):
        mixtures.noise_corpus("librispeech/test-other")
