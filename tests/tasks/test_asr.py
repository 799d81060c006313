"""asr: rates by hand with a recogniser that recites; then pocketsphinx on two bundled clips."""

from __future__ import annotations

import pickle

import pandas as pd
import pytest
import torch

from audiotok import data
from audiotok.data import Clip, Corpus
from audiotok.errors import MetricError
from audiotok.judges.asr.sphinx import Sphinx
from audiotok.sound.audio import Audio
from audiotok.tasks import Item, _words, get


class Reciter:
    """Hears the words that belong to the first sample; counts how often it listened."""

    name, label, identity, script = "reciter", "", {}, None
    languages = None

    def __init__(self, words: dict[float, str]):
        self.words, self.listened = words, 0

    def transcribe(self, audio: Audio, language: str | None = None) -> str:
        self.listened += 1
        return self.words[round(float(audio.waveform[0, 0]), 3)]


@pytest.fixture(autouse=True)
def nothing_heard(monkeypatch):
    monkeypatch.setattr(_words, "_transcripts", {})


def sound(value: float) -> Audio:
    return Audio(torch.full((1, 100), value), 16_000)


def test_rates_and_the_memory_of_references():
    reciter = Reciter({0.1: "one two three four", 0.2: "one two four", 0.3: "one too four"})
    row = _words.rates(reciter, Item(Clip("a", text="One, two three."), sound(0.1), sound(0.2)))
    assert row == {
        "transcript": "one two four", "words_heard": 4, "dwer": 0.25, "wer": pytest.approx(1 / 3),
        "words": 3, "cer": pytest.approx(5 / 13), "characters": 13,  # three -> four
    }  # fmt: skip
    row = _words.rates(reciter, Item(Clip("a"), sound(0.1), sound(0.3)))
    assert row == {"transcript": "one too four", "words_heard": 4, "dwer": 0.5}
    assert reciter.listened == 3  # the reference once


def test_what_has_no_rate_is_an_error_not_a_number():
    reciter = Reciter({0.1: "", 0.2: "words"})
    row = _words.rates(reciter, Item(Clip("a", text="..."), sound(0.1), sound(0.2)))
    assert all(isinstance(row[name], MetricError) for name in ("dwer", "wer", "cer"))


def test_words_without_spaces_have_a_character_error_rate_alone():
    reciter = Reciter({0.1: "สวัสดี", 0.2: "สวัสดี", 0.3: "你好吗"})
    row = _words.rates(reciter, Item(Clip("a", text="สวัสดิ"), sound(0.1), sound(0.2)))
    assert row["cer"] == pytest.approx(1 / 6) and row["characters"] == 6
    for name in ("wer", "dwer"):
        with pytest.raises(MetricError, match=r"'สวัสด.' has no spaces between words, so no word"):
            raise row[name]
    assert "words" not in row and "words_heard" not in row
    row = _words.rates(reciter, Item(Clip("a", text="你好"), sound(0.2), sound(0.3)))
    assert row["cer"] == 0.5 and isinstance(row["wer"], MetricError)


def test_texts_of_other_languages_are_refused_in_one_line():
    """The whole corpus before anything is measured, single clips where they are met."""
    line = "in LATIN script, the text 'नमस्ते' is in DEVANAGARI: choose a recogniser"
    hindi = Clip("a", text="नमस्ते")
    for name in ("asr", "asr_whisper", "asr_ctc", "asr_torchaudio"):
        assert line in get(name).unsuited(Corpus("c", (hindi, Clip("b"))))
        assert get(name).unsuited(Corpus("c", (hindi, Clip("b", text="hello")))) is None
        assert get(name).unsuited(Corpus("c", (Clip("a"),))) is None
    assert get("asr_ctc:some/hindi").unsuited(Corpus("c", (hindi,))) is None
    reciter = Reciter({0.1: "no master", 0.2: "no master"})
    reciter.script = "LATIN"
    row = _words.rates(reciter, Item(hindi, sound(0.1), sound(0.2)))
    assert row["dwer"] == 0 and line in str(row["wer"]) and line in str(row["cer"])


@pytest.mark.skipif(Sphinx().missing() is not None, reason="pocketsphinx is not installed")
def test_pocketsphinx_refuses_other_languages_in_latin_script():
    german = (
        "Der Fluss fließt durch die alte Stadt, und die Kinder spielen am Ufer, während die Sonne "
        "langsam hinter den Bergen verschwindet."
    )
    corpus = Corpus("c", (Clip("a", text=german), Clip("b", text="Morgen kann er nicht kommen.")))
    assert "only 62% of the words of the texts are in its dictionary" in get("asr").unsuited(corpus)
    assert get("asr").unsuited(Corpus("c", (Clip("a", text="qxz " * 19),))) is None  # too few
    assert get("asr").unsuited(data.load("bundled")) is None


def test_the_normaliser_is_part_of_the_identity_where_texts_are_not_ascii():
    """Results of English texts stay those of before, others are measured again."""
    for name in ("asr", "probe_asr"):
        task = get(name)
        task.prepare(Corpus("c", (Clip("a", text="hello"), Clip("b"))))
        assert task.identity == {} and "normaliser basic-1" in task.columns[0].description
        task.prepare(Corpus("c", (Clip("a", text="hello"), Clip("b", text="ẹ̀kọ́"))))
        assert task.identity == {"normaliser": "basic-2"}
        assert "normaliser basic-2" in task.columns[0].description


def test_corpus_rates_are_all_errors_by_all_words():
    task = get("asr")
    rows = pd.DataFrame(
        {
            "wer": [1.0, 0.1, None],
            "words": [2.0, 20.0, None],
            "cer": [0.5, 0.05, None],
            "characters": [10.0, 100.0, None],
            "dwer": [0.5, None, 0.0],
            "words_heard": [2.0, 0.0, 6.0],
            "wer_closed": [None, None, None],
        }
    )
    totals = task.summarise(rows, [])
    assert totals == {
        "wer": pytest.approx(4 / 22), "cer": pytest.approx(10 / 110), "dwer": pytest.approx(1 / 8)
    }  # fmt: skip
    assert task.summarise(pd.DataFrame(), []) == {}


def test_music_among_speech_is_left_out():
    task = get("asr")
    task.prepare(Corpus("c", (Clip("spoken", text="hello"), Clip("sung"))))
    assert task.score(Item(Clip("sung"), sound(0.0), sound(0.0))) == {}
    assert "wer_closed" not in {c.name for c in task.columns}


@pytest.mark.parametrize(
    ("name", "full", "column"),
    [
        ("asr", "asr", "wer"),
        ("asr_whisper", "asr_whisper", "wer_whisper"),
        ("asr_whisper:small", "asr_whisper", "wer_whisper"),
        ("asr_whisper:large-v3", "asr_whisper:large-v3", "wer_whisper_large_v3"),
        ("asr_whisper:distil-whisper/distil-small.en",) * 2
        + ("wer_whisper_distil_whisper_distil_small_en__041d53ee",),
        ("asr_ctc", "asr_ctc", "wer_ctc"),
        ("asr_ctc:facebook/hubert-large-ls960-ft",) * 2
        + ("wer_ctc_facebook_hubert_large_ls960_ft__107f4f37",),
        ("asr_torchaudio", "asr_torchaudio", "wer_torchaudio"),
        ("asr_torchaudio:HUBERT_ASR_LARGE",) * 2 + ("wer_torchaudio_hubert_asr_large__308af205",),
    ],
)
def test_each_recogniser_has_a_name_and_columns_of_its_own(name, full, column):
    task = pickle.loads(pickle.dumps(get(name)))
    assert task.name == full
    first = task.columns[0]
    assert first.name == column
    assert task.recogniser.name in first.description and "normaliser basic-1" in first.description


def test_options_that_mean_nothing_are_refused():
    with pytest.raises(MetricError, match="the task asr takes no option, but 'large' follows it"):
        get("asr:large")
    with pytest.raises(MetricError, match="no recogniser 'X'; available: HUBERT_ASR_LARGE"):
        get("asr_torchaudio:X")


@pytest.mark.skipif(Sphinx().missing() is not None, reason="pocketsphinx is not installed")
def test_pocketsphinx_tells_speech_from_noise():
    corpus = data.load("bundled", limit=2)
    task = get("asr")
    task.prepare(corpus)
    task = pickle.loads(pickle.dumps(task))
    assert task.available() is None
    clip = corpus.clips[0]
    reference = clip.read()
    same = task.score(Item(clip, reference, reference))
    assert {c.name for c in task.columns} == set(same) - {"transcript"} == {"wer_closed", "words"}
    assert same["wer_closed"] == 0 and same["words"] == 5
    noise = torch.randn(reference.waveform.shape, generator=torch.Generator().manual_seed(0))
    worse = task.score(Item(clip, reference, Audio(0.1 * noise, 16_000)))
    assert worse["wer_closed"] > 0.5


def test_a_text_that_is_not_english_is_a_failure_with_a_grammar_too():
    task = get("asr")
    task.grammar = "grammar.jsgf"
    row = task.score(Item(Clip("a", text="привет"), sound(0.0), sound(0.0)))
    assert isinstance(row.pop("wer_closed"), MetricError) and not row
    assert task.score(Item(Clip("b"), sound(0.0), sound(0.0))) == {}


@pytest.mark.skipif(Sphinx().missing() is not None, reason="pocketsphinx is not installed")
def test_pocketsphinx_without_a_grammar():
    task = get("asr")
    clip = data.load("bundled", limit=1).clips[0]
    task.prepare(Corpus("no grammar", (clip,)))
    reference = clip.read()
    row = task.score(Item(clip, reference, reference))
    assert {c.name for c in task.columns} == set(row) - {"transcript"}
    assert "wer_closed" not in row and row["dwer"] == 0 and row["words"] == 5
