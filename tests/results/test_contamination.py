from __future__ import annotations

from types import SimpleNamespace

import pytest
from support.result_kit import put, spread

from audiotok.codec import checkpoints, registry
from audiotok.harness import plan
from audiotok.report import leaderboard
from audiotok.results import contamination, results
from audiotok.results.contamination import CLEAN, CONTAMINATED, RELATED, UNKNOWN, mark
from audiotok.training import export


@pytest.mark.parametrize(
    ("trained", "measured", "sign"),
    [
        (("LibriSpeech test-other",), "librispeech/test-other", CONTAMINATED),
        (("librispeech/test-clean, 20 clips of it",), "librispeech/test-clean", CONTAMINATED),
        (("my corpus",), "My-Corpus", CONTAMINATED),
        (("LibriSpeech train-clean-100",), "librispeech/test-clean", RELATED),
        (("LibriSpeech test-clean",), "librispeech/test-other", RELATED),
        (("LibriSpeech train-clean-100",), "librispeech-mini-test", RELATED),
        (("LibriSpeech",), "librispeech/test-clean", RELATED),  # which split is not said
        (("LibriTTS",), "librispeech/test-clean", RELATED),  # the same books, read by the same
        (("MLS, English",), "librispeech/test-other", RELATED),
        (("DNS Challenge 4",), "AudioSet", RELATED),
        (("FSD50K",), "ESC-50", RELATED),
        (("Common Voice", "LibriSpeech test-clean"), "librispeech/test-clean", CONTAMINATED),
        ((), "librispeech/test-clean", UNKNOWN),
        (("80,000 hours",), "librispeech/test-clean", UNKNOWN),
        (("unknown: what dac-16k was trained on", "VCTK"), "bundled", UNKNOWN),
        (("80,000 hours", "LibriTTS"), "librispeech/test-clean", RELATED),  # the graver one
        (("LibriSpeech", "Common Voice"), "bundled", CLEAN),
        (("Jamendo",), "musdb18hq/test", CLEAN),
        (("TIMIT",), "librispeech/test-other", CLEAN),
        (("AISHELL",), "librispeech/test-other", CLEAN),
        # a name that is not known here says nothing of its recordings
        (("AudioSet",), "holiday recordings", UNKNOWN),
        (("LibriSpeech",), "my recordings", UNKNOWN),
        (("Foobar",), "librispeech/test-clean", UNKNOWN),
        (("LibriSpeech and Foobar",), "gtzan", UNKNOWN),
        (("LibriSpeech, Foobar",), "gtzan", UNKNOWN),
        (("in-house",), "librispeech/test-clean", UNKNOWN),
        (("LibriSpeech", "internal data"), "gtzan", UNKNOWN),
        (("100k hours of web audio",), "bundled", UNKNOWN),
        ((" ",), "bundled", UNKNOWN),
        # a match by corpus is one, whether the corpus is known here or not
        (("Speech Commands",), "speech_commands/test", RELATED),
        (("Google SpeechCommands v0.02, train",), "speech_commands/test", RELATED),
        (("VoxCeleb1 dev",), "voxceleb1/test", RELATED),
        (("VoxCeleb1 test",), "voxceleb1/test", CONTAMINATED),
        (("VoxCeleb",), "voxceleb1/test", RELATED),  # which of the two is not said
        (("VoxCeleb2 dev",), "voxceleb1/test", UNKNOWN),  # both are of YouTube
        (("GigaSpeech",), "gigaspeech/test", RELATED),
        (("GigaSpeech",), "librispeech/test-clean", RELATED),  # it has audiobooks of LibriVox
        (("AISHELL-3 train",), "aishell/test", RELATED),
        (("TIMIT",), "timit/test", RELATED),
        (("FooBar dev",), "foo-bar/test", RELATED),
        (("FooBar dev",), "foo_bar/dev", CONTAMINATED),
        # corpora made of LibriSpeech keep its splits
        (("LibriTTS-R test-clean",), "librispeech/test-clean", CONTAMINATED),
        (("LibriTTS train-clean-100",), "librispeech/test-clean", RELATED),
        (("LibriSpeech train-clean-100, test-other",), "librispeech/test-other", CONTAMINATED),
        (("LibriSpeech validation.clean",), "librispeech/dev-clean", CONTAMINATED),
        (("Multilingual LibriSpeech",), "librispeech/test-clean", RELATED),
    ],
)
def test_the_rule(trained, measured, sign):
    assert mark(trained, measured) == sign


def test_every_card_has_a_sign():
    """What the cards of today say: nothing slips through as clean because of its spelling."""
    signs = {
        card.name: mark(card.training_data, "librispeech/test-clean")
        for card in registry.list_codecs()
        if card.kind == "neural"
    }
    assert signs["wavtokenizer-mini"] == signs["speechtokenizer-snake"] == RELATED
    assert signs["encodec-24k"] == RELATED  # by way of the DNS Challenge
    assert signs["wavtokenizer-large-speech-75"] == signs["dac-16k"] == UNKNOWN
    assert signs["encodec-48k"] == CLEAN
    assert signs["rvq-small"] == RELATED and signs["lyra-v2"] == UNKNOWN
    for card in registry.list_codecs():
        for entry in card.training_data:
            is_known = mark((entry,), "bundled") == CLEAN or entry.endswith(" hours")
            is_known |= entry.startswith("unknown: ")
            assert is_known, f"{card.name}: contamination.CORPORA does not know {entry!r}"


def test_marks_and_their_meaning_in_the_leaderboard(tmp_path):
    name = "librispeech/test-clean"
    for codec, trained in (
        ("heard", ["LibriSpeech test-clean"]), ("near", ["LibriTTS"]), ("blank", []),
        ("clean", ["Jamendo"]),
    ):  # fmt: skip
        put(tmp_path, codec, {"pesq": spread(2)}, data=name, training_data=trained)
    put(tmp_path, "opus", {"pesq": spread(2)}, data=name, role="baseline")
    text = leaderboard.build(tmp_path)["LEADERBOARD.md"].decode()
    for cell in ("| heard † |", "| near ‡ |", "| blank ? |", "| clean |", "| opus ° |"):
        assert cell in text
    for sign in (CONTAMINATED, RELATED, UNKNOWN):
        assert text.count(f"{sign} {contamination.NOTES[sign]}.") == 1
    (only,) = [r for r in results.read_all(tmp_path) if r.codec == "clean"]
    assert only.marked_title == "clean"


def recipe(corpus, clips=None, start_from=None):
    about = SimpleNamespace(corpora=[corpus], clips=clips)
    return SimpleNamespace(data=about, start_from=start_from)


def test_what_trained_weights_learned_from():
    training_data = export.training_data(recipe("librispeech/train-clean-100", ("a", "b")))
    assert training_data == ["librispeech/train-clean-100, 2 clips of it"]
    assert mark(training_data, "librispeech/train-clean-100") == CONTAMINATED
    assert export.training_data(recipe("/home/me/LibriSpeech/dev-clean")) == [
        "LibriSpeech/dev-clean"
    ]
    tuned = export.training_data(recipe("mine", start_from="encodec-48k"))
    assert tuned == ["mine", "Jamendo"]
    blank = export.training_data(recipe("mine", start_from="dac-16k"))
    assert blank == ["mine", "unknown: what dac-16k was trained on"]
    assert mark(blank, "bundled") == UNKNOWN


@pytest.mark.parametrize("text", [None, "", "{", '"text"', "[1]", '{"a": 1}'])
def test_metadata_that_name_no_training_data_are_unknown(text):
    metadata = {} if text is None else {"training_data": text}
    assert registry._learned_from(metadata) == ()


def test_weights_of_ones_own_do_not_inherit_the_card():
    if not (checkpoints.BUNDLED / "wavtokenizer-mini.safetensors").is_file():
        pytest.skip("the bundled weights are not there")
    codec = registry.load("wavtokenizer-mini")
    assert plan.Subject(None, codec).about["training_data"]
    assert plan.Subject(None, codec, own_weights=True).about["training_data"] == []
