"""What pages show: players, codecs, status, taxonomy, comparison, badges, roofline, titles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from support.result_kit import put, spread
from support.site_kit import cells, fill, payload

from audiotok.report import site, titles
from audiotok.report.site.speed import rooflines

RESULTS = Path(__file__).parents[3] / "results"


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "results")


def test_the_first_page_begins_with_the_table_then_the_chart(folder):
    put(folder, "poor", {"pesq": spread(1.5), "stoi": spread(0.2)}, bitrate=2000.0)
    page = site.build(folder)["index.html"].decode()
    table, chart, suites = (page.index(mark) for mark in ('id="codecs-speech"', "<svg", 'id="all"'))
    assert table < chart < suites
    assert page.index("opus-6k</a>") < page.index("random</a>")
    assert "smoke-v1-clips-0a0b0a0b.html" in page and "kbit/s" in page


def test_the_first_page_has_players_of_the_sounds_in_the_site(folder, tmp_path):
    out = tmp_path / "site"
    (out / "listening/sounds").mkdir(parents=True)
    about = {"corpus": "bundled", "codecs": ["good", "opus-6k"]}
    (out / "listening/about.json").write_text(json.dumps(about))
    files = {name: f"sounds/{name}.wav" for name in ("reference", "good", "opus-6k")}
    for name in files.values():
        (out / "listening" / name).write_bytes(b"")
    files["gone"] = "sounds/gone.wav"
    clip = {"id": "a", "text": "words", "seconds": 1.0, "files": files}
    (out / "listening/sounds.json").write_text(json.dumps([clip]))
    site.write(folder, out)
    page = (out / "index.html").read_text()
    assert page.count("data-player") == 1 and page.count("data-file=") == 3
    assert 'data-file="listening/sounds/good.wav"' in page and "player.js" in page
    assert "gone" not in page
    codec = (out / "codecs/good.html").read_text()
    assert codec.count("data-file=") == 2 and "../listening/sounds/good.wav" in codec
    assert "data-player" not in (out / "codecs/poor.html").read_text()


CARD = {
    "name": "not-yet", "role": "neural", "family": "dac", "weights": None, "options": {},
    "verified": "on random weights only", "licence_weights": "MIT", "bitrate": 6000.0,
}  # fmt: skip


def test_codecs_that_can_be_loaded_are_listed_although_nobody_measured_them(folder):
    files = site.build(folder, cards=[CARD])
    row = cells(files["codecs.html"], "not-yet")
    assert row[1] == "6.00" and "compared on random weights only" in row and row[-1] == "not yet"
    page = files["codecs/not-yet.html"].decode()
    assert "not measured yet" in page and "eprint = {2306.06546}" in page
    assert "audiotok.load(&#34;not-yet&#34;)" in page or 'audiotok.load("not-yet")' in page
    assert "<h2>" not in page  # no suite


@pytest.mark.parametrize(
    ("about", "text", "kind"),
    [
        ({"verified": "on random weights only"}, "compared on random weights only", "partly"),
        ({"verified": "against the official models: equal"}, "verified on official weights",
         "proven"),
        ({"weights": {"bundled": "x"}}, "trained in this repository", "other"),
        ({"role": "baseline"}, "classical, tested", "other"),
        ({"role": "given"}, "published sound, not run here", "other"),
        ({"role": "floor"}, "random tokens", "other"),
        ({}, "not verified", "other"),
    ],
)  # fmt: skip
def test_the_status_of_a_codec(about, text, kind):
    status = site.codecs.status({"name": "a", "role": "neural"} | about)
    assert (status.text, status.kind) == (text, kind)


def test_a_record_of_verify_decides_the_status():
    card = {"name": "a", "role": "neural", "verified": "on random weights only", "family": "mimi"}
    record = {"equal": 3, "different": 0, "unavailable": 1}
    status = site.codecs.status(card, record)
    assert status.kind == "proven" and "3 equal" in status.text and status.wrapped == "transformers"
    assert site.codecs.status(card, record | {"different": 1}).kind == "partly"
    ours = site.codecs.status(card | {"weights": {"bundled": "x"}}, record)
    assert "official" not in ours.text and "3 equal" in ours.text


def test_the_committed_records_of_verify_are_shown_and_nothing_differs(folder):
    (folder / "verified").mkdir()
    names = ["lm-spt-mini", "lyra-v2", "rvq-small", "wavtokenizer-mini"]
    for name in names:
        record = json.loads((RESULTS / "verified" / f"{name}.json").read_bytes())
        assert record["equal"] >= 4 and record["different"] == record["broken"] == 0
        assert record["weights"]["sha256"] == record["weights"]["sha256_on_card"]
        assert not record["git"]["dirty"]
        shutil.copy(RESULTS / "verified" / f"{name}.json", folder / "verified")
    files = site.build(folder, cards=[CARD | {"name": name} for name in names])
    for name in names:
        assert "4 equal" in files[f"codecs/{name}.html"].decode()


def test_the_wrapped_families_are_those_in_the_code():
    from audiotok.codec import registry
    from audiotok.codecs._transformers import Wrapped

    kinds = {card.family: registry.find(card.name)[0] for card in registry.list_codecs()}
    wrapped = {family for family, kind in kinds.items() if issubclass(kind, Wrapped)}
    assert wrapped == {k for k, v in site.codecs.WRAPPED.items() if v == "transformers"} - {"hf"}


def test_cards_and_the_survey_share_one_notation():
    from audiotok.report.site import published

    card = {"taxonomy": {
        "encoder_decoder": "CNN+RNN, Time -> CNN+T, Time-Freq", "quantization": "RVQ, Fixed",
        "training_paradigm": "GAN, VQ", "streamability": "no", "domain": "speech, music",
    }}  # fmt: skip
    row = {
        "encoder": "CNN", "decoder": "-", "representation": "T-F", "quantization": "RVQ",
        "bitrate_F_fixed_A_adaptive": "F", "objective": "GAN, VQ", "auxiliary": "Dis",
        "streamable": False, "speech": True, "music": True, "audio": False,
    }  # fmt: skip
    assert published.card_taxonomy(card) == {
        "encoder": "CNN+RNN", "decoder": "CNN+T", "representation": "time → time-frequency",
        "quantizer": "RVQ", "bitrate": "fixed", "training": "GAN, VQ", "streamable": "no",
        "domain": "speech, music",
    }  # fmt: skip
    assert published.survey_taxonomy(row) == {
        "encoder": "CNN", "representation": "time-frequency", "quantizer": "RVQ",
        "bitrate": "fixed", "training": "GAN, VQ, Dis", "streamable": "no",
        "domain": "speech, music",
    }  # fmt: skip


def test_the_first_comparison_is_of_a_codec_and_a_classical_one_of_its_bitrate(tmp_path):
    for name, role, rate in (
        ("a-mini", "neural", 5000.0), ("real", "neural", 6000.0), ("opus-6k", "baseline", 5600.0),
        ("opus-24k", "baseline", 22000.0), ("random", "floor", 900.0),
    ):  # fmt: skip
        weights = {"bundled": "x"} if "mini" in name else {"repository": "org/name"}
        put(tmp_path, name, {"stoi": spread(0.5)}, role=role, bitrate=rate, weights=weights)
    assert payload(site.build(tmp_path))["pair"] == ["real", "opus-6k"]


def test_columns_begin_with_those_that_are_ranked(folder):
    columns = list(payload(site.build(folder))["columns"])
    assert columns[:2] == ["pesq", "stoi"]


def test_a_badge_has_the_first_headline_number(folder):
    badge = site.build(folder)["badges/good.svg"].decode()
    assert "PESQ 2.99" in badge and "at 0.90 kbit/s" in badge


def test_no_point_is_above_a_roof():
    frame = pd.DataFrame({
        "gflop": [1.0, 1.0, 1.0], "mbytes": [2000.0, 10.0, 1.0], "ms": [10.0, 4.0, 20.0],
        "peer": ["audiotok", "audiotok", "other"], "work": "search", "shape": "a", "N": 1,
    })  # fmt: skip
    (drawn,) = rooflines(frame, {"copy_gb_per_s": 100.0, "fp32_product_gflop_per_s": 100.0})
    assert drawn["peak"] == 250 and drawn["bandwidth"] == 200
    for point in drawn["points"]:
        assert point["y"] <= min(drawn["peak"], point["x"] * drawn["bandwidth"]) * (1 + 1e-9)


def test_titles():
    assert titles.title("stoi") == "STOI" and titles.title("sdr_16k") == "SDR at 16 kHz"
    assert titles.title("asr_whisper:base") == "Word errors (Whisper base)"
    assert titles.title("wer_english_whisper_base") == "WER (Whisper base)"
    assert titles.title("something_new") == "Something new"
