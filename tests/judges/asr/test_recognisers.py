"""Normaliser and error counts by hand; pocketsphinx on a bundled clip."""

from __future__ import annotations

import random
import re
import unicodedata

import pytest
import torch

from audiotok import data
from audiotok.errors import MetricError
from audiotok.judges.asr import (
    character_errors,
    fingerprint,
    normalise,
    normaliser,
    pieces,
    sphinx,
    word_errors,
)
from audiotok.judges.asr.sphinx import Sphinx
from audiotok.judges.asr.text import is_spaceless, scripts
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
        ("don\u2018t don\u02bct don\xb4t don\u2032t", "don't don't don't don't"),
        ("rock ''n'' roll a''b", "rock n roll a b"),
        ("की कि", "की कि"),  # Hindi: marks are vowels
        ("e\u0301te\u0301", "été"),  # decomposed is composed
        ("ẹ̀kọ́", unicodedata.normalize("NFC", "ẹ̀kọ́")),
        ("İSTANBUL I\u0307zmir i\u0307zmir", "istanbul izmir izmir"),
        ("ISPARTA ısparta", "isparta ısparta"),  # the folding knows no language
        ("STRASSE Straße ΣΟΦΟΣ σοφός", "strasse strasse σοφοσ σοφόσ"),
        ("می\u200cخواهم co\xadoperate", "میخواهم cooperate"),  # joiners and soft hyphens
        ("ภาษา\u200bไทย", "ภาษา ไทย"),  # the space without width separates words
        ("I \u2764\ufe0f 1\ufe0f\u20e3 \u0301 you", "i 1 you"),  # marks on no letter
    ],
)
def test_normalise(text, words):
    assert normalise(text) == words == normalise(words)


def test_marks_tell_words_apart_and_forms_of_one_text_do_not():
    """Hindi, Malayalam, Tamil, pointed Hebrew, vowelled Arabic, Yoruba, Thai."""
    pairs = [
        ("कि की", "की कि", 2), ("എന്റെ ഭാഷ", "എന്റ ഭാഷ", 1), ("தமிழ்", "தமழ", 1),
        ("שָׁלוֹם", "שלום", 1), ("مُحَمَّد", "محمد", 1), ("ẹ̀kọ́", "ẹ̀kọ", 1), ("ที่นี่", "ทีนี", 1),
    ]  # fmt: skip
    for one, other, errors in pairs:
        assert word_errors(one, other)[0] == errors
        assert character_errors(one, other)[0] >= errors
        for form in ("NFC", "NFD", "NFKC", "NFKD"):
            text = unicodedata.normalize(form, one)
            assert word_errors(one, text)[0] == 0 == character_errors(one, text)[0]
            assert normalise(text) == normalise(normalise(text))


def test_english_is_normalised_as_before():
    """basic-1 and basic-2 give equal words of ASCII texts, so the results of before stand."""

    def basic_1(text):
        text = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'")
        return " ".join(re.sub(r"(?<!\w)'|'(?!\w)|[^\w']|_", " ", text).split())

    generator = random.Random(0)
    texts = [clip.text for clip in data.load("bundled") if clip.text]
    texts += ["".join(generator.choices("aZ9' -.$\n", k=10)) for _ in range(5_000)]
    assert [normalise(text) for text in texts] == [basic_1(text) for text in texts]
    assert normaliser([*texts, None]) == "basic-1" and normaliser(["é"]) == "basic-2"


@pytest.mark.parametrize(
    ("text", "script", "spaceless"),
    [
        ("hello", "LATIN", False),
        ("Ärger", "LATIN", False),
        ("नमस्ते", "DEVANAGARI", False),
        ("안녕하세요", "HANGUL", False),
        ("ភាសាខ្មែរ", "KHMER", True),
        ("မြန်မာ", "MYANMAR", True),
        ("ພາສາ", "LAO", True),
        ("カタカナー", "KATAKANA", True),
        ("東京へ行く", "CJK", True),
        ("ＡＢＣ", "LATIN", False),
    ],
)
def test_scripts(text, script, spaceless):
    assert scripts(text).most_common(1)[0][0] == script
    assert is_spaceless(text) == spaceless
    assert not is_spaceless("") and not is_spaceless("12")


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
    """Neither an earlier sound nor numpy's generator matters."""
    audio = corpus.clips[0].read()
    quiet = Audio(audio.waveform * 0.01, 16_000)
    general = Sphinx()
    first = general.transcribe(audio)
    general.transcribe(quiet)
    assert general.transcribe(audio) == first != ""


def test_a_failed_sound_does_not_disturb_the_next_one(corpus, monkeypatch):
    closed = Sphinx(corpus.grammar)
    with monkeypatch.context() as patch:
        patch.setattr(sphinx, "_pcm", lambda audio: b"")  # refused within an utterance
        with pytest.raises(IndexError):
            closed.transcribe(corpus.clips[0].read())
    assert closed.transcribe(corpus.clips[0].read()) == corpus.clips[0].text


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
