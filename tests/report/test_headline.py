"""The headline tables: which results, columns and rows they show, and in which order."""

from __future__ import annotations

import shutil

import pytest
from support.result_kit import put, spread

from audiotok.report import headline, leaderboard, site
from audiotok.results import results
from audiotok.system import assets


def tables(folder):
    shown = headline.tables(results.read_all(folder), folder / "published")
    return {table.domain: table for table in shown}


@pytest.fixture
def folder(tmp_path):
    about = {"data": "reader-test"}
    put(tmp_path, "official", {"pesq": spread(3.0), "stoi": spread(0.9)}, bitrate=6000.0,
        weights={"repository": "org/name"}, **about)  # fmt: skip
    put(tmp_path, "official:codebooks=1", {"pesq": spread(2.0), "stoi": spread(0.8)},
        bitrate=800.0, options={"codebooks": 1}, **about)  # fmt: skip
    put(tmp_path, "tiny-mini", {"pesq": spread(1.5), "stoi": spread(0.7)}, bitrate=900.0,
        weights={"bundled": "tiny.safetensors"}, **about)  # fmt: skip
    put(tmp_path, "official:merge=2", {"pesq": spread(2.5)}, bitrate=5000.0,
        options={"merge": 2}, **about)  # fmt: skip
    put(tmp_path, "ablation@0a0b0c0d", {"pesq": spread(1.1)}, bitrate=900.0, **about)
    put(tmp_path, "opus-6k", {"pesq": spread(1.8)}, role="baseline", bitrate=5600.0, **about)
    put(tmp_path, "reference", {"pesq": spread(4.6)}, role="ceiling", **about)
    put(tmp_path, "random", {"pesq": spread(1.0)}, role="floor", bitrate=960.0, **about)
    return tmp_path


def test_sections_and_their_order(folder):
    table = tables(folder)["speech"]
    sections = {name: [row.codec for row in table.section(name)] for name in headline.SECTIONS}
    assert sections == {
        "codecs": ["official:codebooks=1", "opus-6k", "official"], "samples": [],
        "small": ["ablation@0a0b0c0d", "tiny-mini", "official:merge=2"],
        "anchors": ["random", "reference"],
    }  # fmt: skip
    assert [column.key for column in table.columns] == ["pesq", "stoi"]


def test_domains_have_tables_of_their_own(folder):
    put(folder, "official", {"mel_distance": spread(1.0)}, data="musdb18/test", bitrate=6000.0)
    shown = tables(folder)
    assert list(shown) == ["speech", "music"]
    assert [column.key for column in shown["music"].columns] == ["mel_distance"]
    assert shown["music"].corpus["name"] == "musdb18/test"


@pytest.mark.parametrize(
    ("name", "domain"),
    [("librispeech/test-clean", "speech"), ("fsdd-test", "speech"), ("musdb", "music"),
     ("survey-music-against-dac", "music"), ("audioset/eval", "audio"), ("mine", "speech")],
)  # fmt: skip
def test_the_domain_is_in_the_name_of_the_corpus(tmp_path, name, domain):
    put(tmp_path, "codec", {"stoi": spread(0.5)}, data=name)
    assert [headline.domain_of(r) for r in results.read_all(tmp_path)] == [domain]


def test_the_corpus_with_most_of_the_numbers_is_shown(folder):
    put(folder, "official", {"stoi": spread(0.9)}, data="another", bitrate=6000.0)
    assert tables(folder)["speech"].corpus["name"] == "reader-test"


def test_word_errors_are_those_of_the_best_recogniser_in_per_cent(folder):
    kit = headline._best_asr_column
    known = {"wer": {}, "wer_whisper_base": {}, "wer_closed": {}, "wer_closed_area_32": {}}

    class Original:
        role = "ceiling"
        scores = {"wer": {"mean": 0.6}, "wer_whisper_base": {"mean": 0.1},
                  "wer_closed": {"mean": 0.01}, "wer_closed_area_32": {"mean": 0.0}}  # fmt: skip

    assert kit([Original()], known, headline._WER) == "wer_whisper_base"
    put(folder, "official", {"wer": spread(0.25, width=0.0), "words": [4.0] * 40},
        data="reader-test", bitrate=6000.0)  # fmt: skip
    table = tables(folder)["speech"]
    (column,) = [c for c in table.columns if c.key == "wer"]
    (row,) = [row for row in table.rows if row.codec == "official"]
    assert column.head == "WER (pocketsphinx), % ↓" and row.cells["wer"].value == 25.0


def test_numbers_of_another_version_of_a_metric_are_not_shown_beside_the_others(folder):
    put(folder, "old", {"pesq": spread(9.0)}, data="reader-test", bitrate=900.0,
        versions={"pesq": 7})  # fmt: skip
    (row,) = [row for row in tables(folder)["speech"].rows if row.codec == "old"]
    assert row.cells == {}


def test_bits_under_a_language_model_may_be_of_another_corpus_of_the_domain(folder):
    put(folder, "official", {"lm_bitrate": [500.0] * 40}, data="reader-lm", bitrate=6000.0)
    table = tables(folder)["speech"]
    (row,) = [row for row in table.rows if row.codec == "official"]
    assert row.cells["lm_bitrate"].value == 500 and table.columns[-1].key == "lm_bitrate"
    assert table.corpus_of_bits["name"] == "reader-lm"
    note = "Bits under the LM: on reader-lm, 40 clips."
    assert note in leaderboard.build(folder)["LEADERBOARD.md"].decode()
    pages = site.build(folder)
    for name in ("index.html", "codecs/official.html"):
        assert "Bits under the LM: 40 clips of " in pages[name].decode()
    assert "Bits under the LM" not in pages["codecs/opus-6k.html"].decode()


def test_published_samples_have_the_bitrate_and_the_score_that_the_survey_published(folder):
    shutil.copytree(assets.folder("results/published"), folder / "published")
    name = "Mimi, 8 codebooks (published sample)"
    put(folder, name, {"stoi": spread(0.8)}, role="given", data="survey-speech")
    table = tables(folder)["speech"]
    (row,) = table.section("samples")
    assert (row.name, row.bitrate, row.band) == ("Mimi, 8 codebooks", 1100.0, "0.75 to 1.5 kbit/s")
    assert row.cells[headline.PUBLISHED_MOS].value == 3.6
    other = "Mimi, 7 codebooks (published sample)"
    put(folder, other, {"stoi": spread(0.7)}, role="given", data="survey-speech", bitrate=1000.0)
    rows = tables(folder)["speech"].section("samples")
    assert len(rows) == 2 and headline.best(rows, table.columns[0]) == set()


def test_words_of_published_samples_are_compared_with_the_reference(folder):
    """Their text is not known; codecs that were run have the word error rate instead."""
    name, of_samples = "EnCodec 24 kHz, 8 codebooks (published sample)", {"data": "survey-speech"}
    put(folder, name, {"dwer_whisper_base": [0.2] * 4}, role="given", **of_samples)
    put(folder, "reference", {"dwer_whisper_base": [0.0] * 4}, role="ceiling", **of_samples)
    ours = {"stoi": [0.9] * 4, "pesq": [3.0] * 4, "dwer_whisper_base": [0.1] * 4}
    put(folder, "official", ours, data="reader-test", version=2)
    table = tables(folder)["speech"]
    assert "dWER (Whisper base), % ↓" in [column.head for column in table.columns]
    cells = {row.codec: row.cells.get("dwer") for row in table.rows}
    assert cells[name].value == pytest.approx(20) and cells["official"] is None


def test_the_bitrate_is_of_any_suite_that_measured_it(folder):
    put(
        folder, "opus-6k", {"bitrate": [5600.0] * 4}, role="baseline", data="reader-test", version=2
    )
    put(folder, "opus-6k", {"stoi": [0.9] * 4}, role="baseline", data="reader-test")
    (row,) = [row for row in tables(folder)["speech"].rows if row.codec == "opus-6k"]
    assert row.bitrate == 5600


def test_the_best_of_a_band_and_names_that_fit(folder):
    table = tables(folder)["speech"]
    bands = dict(headline.bands(table.section("codecs")))
    pesq, stoi = table.columns
    assert headline.best(bands["3 to 6 kbit/s"], pesq) == {"official"}
    assert headline.best(bands["3 to 6 kbit/s"], stoi) == set()  # one value is no comparison
    assert headline.short_name("a:merge=2/2/2/2") == "a:merge=2×4"
    assert headline.short_name("a:merge=2/2/3,codebooks=22") == "a:merge=2×2/3,codebooks=22"
