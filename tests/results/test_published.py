from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from support.result_kit import put, spread

from audiotok.codec import registry
from audiotok.errors import ResultsError
from audiotok.results import flagged_cells, published, results

ROOT = Path(__file__).parents[2] / "results"
SPEECH = "dates_reconstruction_speech"


def test_every_table_has_a_source_and_is_read():
    files = {path.stem for path in (ROOT / "published").glob("*.csv")}
    assert set(published.names()) == files and len(files) == 34
    for name in files:
        frame = published.load(name)
        source = frame.attrs["source"]
        assert all(source[key] for key in ("title", "authors", "venue", "link", "licence"))
        assert source["table"] and source["what"] and len(frame)
        assert frame.columns[0] == "source_table"


def test_flags_name_cells_that_exist():
    about = published._sources(ROOT / "published")
    for name, table in about["tables"].items():
        frame, rules = published.load(name), table.get("flags", {})
        for flag in rules.get("cells", ()):
            assert flagged_cells.matches(frame, flag["match"]).any(), (name, flag)
            assert set(flag["columns"]) <= set(frame.columns), (name, flag)
        assert set(table.get("metrics", ())) <= set(frame.columns)


def flag(name, column, **where):
    flags = published._flags(name, ROOT / "published")
    frame = published.load(name)
    return [
        flags.get((row, column), "") for row in frame.index[flagged_cells.matches(frame, where)]
    ]


def test_cells_that_contradict_themselves():
    (lost,) = flag("dates_reconstruction_audio", "si_snr", tokenizer="WT-SMA-24")
    assert "lost minus sign" in lost
    assert all("pipeline" in text for text in flag(SPEECH, "si_snr", tokenizer="DAC-SMA-24"))
    assert flag(SPEECH, "si_snr", tokenizer="Enc-SMA-24") == [""] * 3
    better = published.load(SPEECH).query("wer < 2.83")["tokenizer"]
    assert len(better) == 5
    for tokenizer in set(better):
        assert any(
            "better than the ground truth (2.83)" in f
            for f in flag(SPEECH, "wer", tokenizer=tokenizer)
        )
    (seeds,) = flag(
        "dates_downstream_speech_discriminative", "ic_acc_mean", tokenizer="DAC-SMA-24",
        num_codebooks=32,
    )  # fmt: skip
    assert seeds.startswith("44.6 ± 39.19 over seeds")
    (moved,) = flag("dates_lm_speech", "salmon_gender", tokenizer="DAC-SMA-16")
    assert moved == "81 in dates_paper_table10_speech_lm"
    (back,) = flag("dates_paper_table10_speech_lm", "salmon_gender", tokenizer="DAC-SMA-16")
    assert back == "53 in dates_lm_speech"
    assert flag("dates_lm_speech", "swuggy", tokenizer="HuBERT 25Hz") == [""]


def test_bitrates_are_flagged_where_they_are_not_rate_times_bits():
    bits = published.load("dates_benchmark_tokenizers").set_index("abbr")["codebook_size"]
    for name in (SPEECH, "dates_reconstruction_audio", "dates_reconstruction_music"):
        for row, line in published.load(name).dropna(subset=["kbps"]).iterrows():
            kbps = line["token_rate"] * math.log2(bits[line["tokenizer"]]) / 1000
            expected = abs(kbps - line["kbps"]) > 0.02
            assert bool(published._flags(name, ROOT / "published").get((row, "kbps"))) == expected


def test_every_name_of_ours_is_a_codec_with_as_many_codebooks():
    cells = published.cells()
    mapped = cells[cells["codec"] != cells["theirs"]]
    assert len(mapped) > 100
    for codec, codebooks in (
        mapped[["codec", "codebooks"]].drop_duplicates().itertuples(index=False)
    ):
        assert codebooks in registry.find_card(codec).codebook_counts
    bitrates = published.load(SPEECH).dropna(subset=["kbps"])
    for _, row in bitrates.iterrows():
        mapped_codecs = mapped[(mapped["table"] == SPEECH) & (mapped["theirs"] == row["tokenizer"])]
        if len(mapped_codecs):
            (codec,) = set(
                mapped_codecs[mapped_codecs["codebooks"] == row["num_codebooks"]]["codec"]
            )
            name = (
                codec
                if row["num_codebooks"] in (1,)
                else f"{codec}:codebooks={row['num_codebooks']:.0f}"
            )
            assert registry.find_card(name).bitrate / 1000 == pytest.approx(row["kbps"], abs=0.081)


def test_ours_beside_theirs(tmp_path):
    rows = {"pesq": spread(2.9), "wer": [0.02] * 40, "words": [5.0] * 40, "stoi": spread(0.93)}
    put(tmp_path, "encodec-24k:codebooks=8", rows, num_codebooks=8, options={"codebooks": 8})
    put(tmp_path, "encodec-24k:codebooks=8,merge=2", rows, num_codebooks=8, options={"merge": [2]})
    put(tmp_path, "dac-24k:codebooks=8", rows, num_codebooks=8, options={"codebooks": 8})
    frame = published.beside(tmp_path)
    assert set(frame["codec"]) == {"encodec-24k:codebooks=8", "dac-24k:codebooks=8"}
    row = frame.query(f"table == '{SPEECH}' and column == 'pesq'").set_index("codec")
    assert row.loc["encodec-24k:codebooks=8", "published"] == 2.77
    measured = row.loc["encodec-24k:codebooks=8", "ours"]
    assert measured == pytest.approx(2.9, abs=0.1) and row.loc["encodec-24k:codebooks=8", "n"] == 40
    assert row.loc["encodec-24k:codebooks=8", "difference"] == pytest.approx(measured - 2.77)
    for name in ("encodec-24k:codebooks=8", "encodec-24k"):
        assert set(published.beside(tmp_path, name)["codec"]) == {"encodec-24k:codebooks=8"}
    assert set(published.beside(tmp_path, data="clips")["ours_on"]) == {"smoke v1, clips"}


def test_one_result_beside_theirs(tmp_path):
    """Also with the weights that the user gave: `verify --checkpoint` has them."""
    for folder, name in (("a", "encodec-24k:codebooks=8"), ("b", "encodec-24k:codebooks=8@1a2b")):
        options = {"num_codebooks": 8, "options": {"codebooks": 8}}
        put(tmp_path / folder, name, {"pesq": spread(2.9)}, **options)
        (result,) = results.read_all(tmp_path / folder)
        row = published.beside_result(result).query(f"table == '{SPEECH}' and column == 'pesq'")
        assert row["published"].tolist() == [2.77] and row["codec"].tolist() == [name]
    put(tmp_path / "c", "mulaw", {"pesq": spread(2.9)})
    (result,) = results.read_all(tmp_path / "c")
    assert published.beside_result(result).empty


def test_definitions_that_differ_give_no_difference(tmp_path):
    put(tmp_path, "mimi-8", {"mel_distance": spread(1.0), "pesq": spread(2)}, num_codebooks=8)
    put(tmp_path, "dac-16k", {"mel_distance": spread(1.0)}, num_codebooks=12)
    frame = published.beside(tmp_path)
    mel = frame[frame["column"] == "mel_distance"].iloc[0]
    assert mel["codec"] == "dac-16k" and mel["note"] == "another definition"
    assert math.isnan(mel["difference"]) and mel["published"] == pytest.approx(0.513)


def test_the_published_audio_that_was_scored():
    """The sanity of our metrics: the survey's audio ranks as in its table, without the doubtful."""
    frame = published.beside(ROOT, suite="samples")
    speech = frame[(frame["table"] == SPEECH) & (frame["n"] == 1)]
    assert len(set(speech["codec"])) == 14
    doubtful = set(speech["codec"][speech["flag"].str.contains("for its name")])
    assert doubtful == {f"Mimi, {count} codebooks (published sample)" for count in (8, 32)}
    certain = speech[~speech["codec"].isin(doubtful)]
    for column, least in (("pesq", 0.95), ("stoi", 0.9)):
        both = certain[certain["column"] == column]
        assert both["ours"].corr(both["published"], method="spearman") >= least
    one = published.beside(ROOT, "SQ-SMA-16")
    assert set(one["codec"]) == {"SQ-Codec 16 kHz (published sample)"}


def test_names_of_samples_are_those_of_the_survey():
    assert published.sample("Enc-SMA-24", 8) == "EnCodec 24 kHz, 8 codebooks (published sample)"
    assert published.sample("SQ-SMA-16") == "SQ-Codec 16 kHz (published sample)"
    with pytest.raises(ResultsError, match="the survey published no sound of X: there is Enc-SMA"):
        published.sample("X")
    columns = published.rank_columns(SPEECH)
    assert columns["pesq"] == "pesq" and columns["distillmos"] == "utmos"
    assert published.rank_columns("dates_reconstruction_music")["si_sdr"] == "si_snr"


def test_what_cannot_be_found_is_one_line(tmp_path):
    with pytest.raises(ResultsError, match="is not a folder"):
        published.beside(tmp_path / "nowhere")
    put(tmp_path, "opus-6k", {"pesq": spread(2)}, role="baseline")
    with pytest.raises(ResultsError, match="opus-6k beside a published number: there are numbers"):
        published.beside(tmp_path, "opus-6k")
    with pytest.raises(ResultsError, match="of encodec-42k .* did you mean encodec-24k"):
        published.beside(tmp_path, "encodec-42k")
    with pytest.raises(ResultsError, match="it has published numbers; run `audiotok bench`"):
        published.beside(tmp_path, "mimi-8")
    with pytest.raises(ResultsError, match="is named dates_speech: there are dates_"):
        published.load("dates_speech")
    assert isinstance(published.cells(), pd.DataFrame)


@pytest.mark.parametrize("text", ["tables: {../../x: {}}", "tables: []", "[]", "tables: {/x: {}}"])
def test_tables_of_others_name_no_path(tmp_path, text):
    (tmp_path / "SOURCES.yaml").write_text(text)
    with pytest.raises(ResultsError, match="names no tables|no name for a file"):
        published.names(tmp_path)
