"""benchmarks/tts_corpus.py: held-out voices and sentences stay apart; stopped runs go on."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("tts_corpus", ROOT / "benchmarks/tts_corpus.py")
    module = sys.modules["tts_corpus"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_published_sentences_are_a_hundred_and_hard_ones_of_every_kind(script):
    rows = script.read(script.PUBLISHED)
    kinds = [row["kind"] for row in rows]
    assert kinds.count("plain") == 100 and set(kinds) == {
        "plain", "repeat", "twister", "long", "short",
    }  # fmt: skip
    assert len({row["id"] for row in rows}) == len(rows)
    seen = set()
    for row in rows[:100]:
        assert not script.grams(row["text"]) & seen
        seen |= script.grams(row["text"])


def test_held_out_voices_are_in_no_blend(script):
    found = script.recipes()
    assert len(found) == 60 and not set(script.HELD_OUT) & set(script.BASE)
    for recipe in found.values():
        assert set(recipe) <= set(script.BASE) and sum(recipe.values()) == pytest.approx(1)


def test_texts_share_no_four_words_with_published_ones(script):
    published = [{"id": "1-1", "text": "one two three four five six"}]
    sentences = [
        {"utterance": "1-2", "text": "the same reader says quite other words"},
        {"utterance": "2-1", "text": "he said two three four five and went away"},
        {"utterance": "2-2", "text": "he said two three four and five went away"},
        {"utterance": "2-3", "text": " ".join(f"w{n}" for n in range(30))},
        {"utterance": "2-4", "text": "too short"},
    ]
    found = script.texts(sentences, published)
    assert "he said two three four and five went away" in found and len(found) == 4
    assert max(len(text.split()) for text in found) == 10
    said = " ".join(sorted((t for t in found if t[0] == "w"), key=lambda t: int(t.split()[0][1:])))
    assert said == sentences[3]["text"]


def test_a_row_that_was_not_written_to_its_end_is_cut_off(script, tmp_path):
    path = tmp_path / "m.tsv"
    for number in range(2):
        script.append(path, {"audio": f"{number}.flac", "text": 'say "x"'})
    whole = path.read_bytes()
    path.write_bytes(whole + b"2.flac\thal")
    assert [row["audio"] for row in script.read(path)] == ["0.flac", "1.flac"]
    assert script.read(path)[0]["text"] == 'say "x"' and path.read_bytes() == whole
    assert script.read(tmp_path / "none.tsv") == []
