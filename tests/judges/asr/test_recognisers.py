"""Normaliser and error counts by hand; pocketsphinx on a bundled clip."""

from __future__ import annotations

import pytest
import torch

from audiotok import data
from audiotok.errors import MetricError
from audiotok.judges.asr import character_errors, fingerprint, normalise, pieces, word_errors
from audiotok.judges.asr.sphinx import Sphinx
from audiotok.sound.audio import Audio


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, World!", "hello world"),
        ("  there\u2019s  Iron\tthey-say ", "there's iron they say"),
        ("'quoted' dogs' o'clock", "quoted dogs o'clock"),
        ("ﬁve №2 snake_case", "five no2 snake case"),
        ("Ärger, Été", "ärger été"),
        ("... ' - ", ""),
    ],
)
def test_normalise(text, words):
    assert normalise(text) == words == normalise(words)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors", "words"),
    [
        ("a b c", "A, b. C!", 0, 3),
        ("a b c", "a x c", 1, 3),
        ("a b c", "a c", 1, 3),
        ("a b c", "a b b b c", 2, 3),
        ("a b c", "", 3, 3),
        ("", "a b", 2, 0),
        ("?", "", 0, 0),
    ],
)
def test_word_errors(reference, hypothesis, errors, words):
    assert word_errors(reference, hypothesis) == (errors, words)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "errors", "characters"),
    [
        ("a b c", "A, b. C!", 0, 5),
        ("the cat", "the hat", 1, 7),
        ("the cat", "thecat", 1, 7),  # the space between two words counts
        ("the cat", "", 7, 7),
        ("", "ab", 2, 0),
    ],
)
def test_character_errors(reference, hypothesis, errors, characters):
    assert character_errors(reference, hypothesis) == (errors, characters)


def test_long_sounds_are_heard_in_pieces_of_30_s_and_short_ones_filled_up():
    long = Audio(torch.rand(2, 8_000 * 61), 8_000)
    assert [len(piece) for piece in pieces(long)] == [480_000, 480_000, 16_000]
    (short,) = pieces(Audio(torch.ones(1, 10), 16_000))
    assert len(short) == 1_600 and short.sum() == 10


def test_fingerprint_tells_sounds_apart():
    waveform = torch.linspace(-1, 1, 32)[None]
    audio = Audio(waveform, 16_000)
    assert fingerprint(audio) == fingerprint(Audio(waveform.clone(), 16_000))
    others = [Audio(waveform, 8_000), Audio(-waveform, 16_000), Audio(waveform.view(2, 16), 16_000)]
    assert len({fingerprint(a) for a in [audio, *others]}) == 4


@pytest.fixture(scope="module")
def corpus():
    if (error := Sphinx().missing()) is not None:
        pytest.skip(str(error))
    return data.load("bundled", limit=1)


def test_the_closed_grammar_hears_a_bundled_sentence(corpus):
    clip = corpus.clips[0]
    audio = clip.read()
    closed = Sphinx(corpus.grammar)
    assert closed.transcribe(audio) == clip.text
    assert closed.transcribe(audio.resample(24_000).to_channels(2)) == clip.text
    noise = Audio(0.1 * torch.randn(audio.waveform.shape), 16_000)
    assert closed.transcribe(noise) != clip.text


def test_what_was_heard_before_changes_nothing(corpus):
    """A fresh decoder each time: neither an earlier sound nor numpy's generator matters."""
    audio = corpus.clips[0].read()
    quiet = Audio(audio.waveform * 0.01, 16_000)
    general = Sphinx()
    first = general.transcribe(audio)
    general.transcribe(quiet)
    assert general.transcribe(audio) == first != ""


def test_silence_and_single_samples_are_heard_as_nothing_or_something_but_do_not_fail(corpus):
    for samples in (1, 100, 16_000):
        assert isinstance(
            Sphinx(corpus.grammar).transcribe(Audio(torch.zeros(1, samples), 16_000)), str
        )


def test_a_grammar_of_unknown_words_is_an_error(corpus, tmp_path):
    path = tmp_path / "grammar.jsgf"
    path.write_text("#JSGF V1.0;\ngrammar x;\npublic <s> = qqqzzz;\n")
    with pytest.raises(MetricError, match="pocketsphinx failed"):
        Sphinx(path).transcribe(corpus.clips[0].read())
