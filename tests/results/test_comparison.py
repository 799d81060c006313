from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from support import result_kit
from support.result_kit import put, spread

import audiotok
from audiotok import tasks
from audiotok.errors import ResultsError
from audiotok.results import comparison, results, speakers

HARD = np.array(spread(0, seed=9, width=0.5))  # the same clips are hard for all


@pytest.fixture
def folder(tmp_path):
    words = [float(3 + n % 7) for n in range(40)]
    good = list(2.5 + HARD + spread(0, seed=1, width=0.05))
    same = list(2.5 + HARD + spread(0, seed=2, width=0.05))
    bad = list(2.4 + HARD + spread(0, seed=3, width=0.05))
    wer = [n % 4 / 4 for n in range(40)]
    put(tmp_path, "good", {"pesq": good, "mel_distance": bad, "wer": wer, "words": words})
    put(tmp_path, "same", {"pesq": same, "mel_distance": good, "wer": wer, "words": words})
    worse = [rate + 0.25 for rate in wer]
    put(tmp_path, "bad", {"pesq": bad, "mel_distance": good, "wer": worse, "words": words})
    return tmp_path


def row(frame, column):
    return frame[frame["column"] == column].iloc[0]


def test_better_worse_and_a_tie(folder):
    frame = audiotok.compare("good", "bad", results=folder)
    pesq = row(frame, "pesq")
    assert (
        pesq["difference"] == pytest.approx(pesq["a"] - pesq["b"]) == pytest.approx(0.1, abs=0.03)
    )
    assert pesq["low"] < pesq["difference"] < pesq["high"] and pesq["n"] == 40
    assert pesq["better"] == "good" and pesq["low"] > 0
    assert row(frame, "mel_distance")["better"] == "good"  # lower is better
    assert row(audiotok.compare("bad", "good", results=folder), "pesq")["better"] == "good"
    tie = row(audiotok.compare("good", "same", results=folder), "pesq")
    assert tie["better"] == "tie" and tie["low"] < 0 < tie["high"]
    assert (frame["suite"].unique(), frame["data"].unique()) == (["smoke v1"], ["clips"])


def test_word_errors_are_weighed_by_their_words(folder):
    wer = row(audiotok.compare("good", "bad", results=folder), "wer")
    words = np.array([3 + n % 7 for n in range(40)])
    rates = np.array([n % 4 / 4 for n in range(40)])
    assert wer["a"] == pytest.approx((words * rates).sum() / words.sum())
    assert wer["a"] != pytest.approx(rates.mean())
    assert wer["difference"] == pytest.approx(-0.25) and wer["better"] == "good"
    assert wer["low"] == pytest.approx(-0.25) == wer["high"]  # each clip differs by as much


SPEAKERS = [f"s{n // 8}" for n in range(40)]


def test_clips_of_one_speaker_are_not_independent(folder):
    """The same difference over clips and over the five speakers in whom it differs."""
    by_speaker = np.repeat([0.3, -0.1, 0.2, 0.0, 0.15], 8) + np.array(spread(0, seed=5, width=0.05))
    moved = list(np.array(spread(2.5, seed=1, width=0.05)) + HARD + by_speaker)
    base = list(np.array(spread(2.5, seed=1, width=0.05)) + HARD)
    for name, values in (("moved", moved), ("base", base)):
        put(folder, name, {"pesq": values})
    over_clips = row(audiotok.compare("moved", "base", results=folder), "pesq")
    assert over_clips["better"] == "moved" and "clips of unknown speakers" in over_clips["interval"]
    put(folder, "moved", {"pesq": moved}, speaker=SPEAKERS)  # one of them names the speakers
    pesq = row(audiotok.compare("moved", "base", results=folder), "pesq")
    assert pesq["better"] == "tie" and pesq["interval"] == "t over 5 speakers"
    means = by_speaker.reshape(5, 8).mean(axis=1)
    test = stats.ttest_1samp(means, 0)
    assert pesq["p"] == pytest.approx(test.pvalue)
    assert [pesq["low"], pesq["high"]] == pytest.approx(test.confidence_interval())
    assert speakers.note(results.read_all(folder)[:1]).endswith("they are too narrow")


def test_verdicts_are_corrected_for_the_number_of_columns(folder):
    generator = np.random.default_rng(3)
    base = {"pesq": spread(2.5), "stoi": spread(0.5), "mel_distance": spread(1.0)}
    moved = {
        name: list(np.array(values) + generator.normal(0, 0.1, 40)) for name, values in base.items()
    }
    moved["pesq"] = list(np.array(base["pesq"]) + np.repeat([0.1, 0.2, 0.05, 0.16, 0.04], 8))
    for name, rows in (("moved", moved), ("base", base)):
        put(folder, name, rows, speaker=SPEAKERS)
    frame = audiotok.compare("moved", "base", results=folder)
    pesq = row(frame, "pesq")
    assert 0.05 / 3 < pesq["p"] < 0.05 and pesq["low"] > 0
    assert pesq["p_holm"] == pytest.approx(3 * pesq["p"]) and pesq["better"] == "tie"
    assert pesq["comparisons"] == 3 and row(frame, "seconds_encode")["verdict_by"] == "interval"
    one, other = (r for r in results.read_all(folder) if r.codec in ("base", "moved"))
    (alone,) = comparison.differences(one, other, ["pesq"])
    assert alone["better"] == "moved" and alone["comparisons"] == 1


@pytest.mark.parametrize("shift", [0.3, 0.0])
def test_a_difference_must_hold_by_speaker_in_each_seed(folder, monkeypatch, shift):
    about = {name: ("reconstruction", "", True, 3) for name in ("x", "x_seed_0", "x_seed_1")}
    monkeypatch.setattr(result_kit, "ABOUT", result_kit.ABOUT | about)
    base = np.array(spread(0.5, seed=1, width=0.01))
    for name, first, second in (("base", 0.0, 0.0), ("moved", 0.5, shift)):
        seeds = [base + first, base[::-1] + second]
        rows = {"x": np.mean(seeds, axis=0), "x_seed_0": seeds[0], "x_seed_1": seeds[1]}
        put(folder, name, {key: list(value) for key, value in rows.items()}, speaker=SPEAKERS)
    frame = audiotok.compare("moved", "base", results=folder)
    compared = row(frame, "x")
    assert compared["low"] > 0 and compared["p_holm"] < 0.05 and compared["seeds"] == 2
    assert compared["seeds_that_agree"] == (2 if shift else 1)
    assert compared["better"] == ("moved" if shift else "tie")
    assert not isinstance(row(frame, "x_seed_0")["better"], str)  # a detail of x
    assert compared["comparisons"] == 1


def test_only_clips_that_both_have(folder):
    holes = list(2.5 + HARD)
    holes[0] = holes[7] = float("nan")
    put(folder, "shy", {"pesq": holes})
    pesq = row(audiotok.compare("shy", "good", results=folder), "pesq")
    assert pesq["n"] == 38 and (pesq["failed_a"], pesq["failed_b"]) == (2, 0)
    assert pesq["a"] == pytest.approx(np.nanmean(holes))


def test_what_failed_for_all_clips_is_missing_and_counted(folder):
    put(folder, "mute", {"pesq": [float("nan")] * 40})
    pesq = row(audiotok.compare("mute", "good", results=folder), "pesq")
    assert np.isnan(pesq["a"]) and np.isnan(pesq["difference"]) and pesq["b"] > 2
    assert (pesq["n"], pesq["failed_a"]) == (0, 40) and not isinstance(pesq["better"], str)


def test_numbers_that_the_rows_do_not_determine_have_no_interval(folder):
    put(folder, "odd", {"pesq": [2.0] * 40})
    path = folder / "smoke-v1/clips-0a0b0a0b/odd/summary.json"
    path.write_text(path.read_text().replace('"mean": 2.0', '"mean": 3.0'))
    pesq = row(audiotok.compare("odd", "good", results=folder), "pesq")
    assert np.isnan(pesq["low"]) and pesq["a"] == 3.0 and not isinstance(pesq["better"], str)


def test_times_only_on_the_same_hardware(folder):
    assert "seconds_encode" in set(audiotok.compare("good", "bad", results=folder)["column"])
    put(folder, "elsewhere", {"pesq": list(2.5 + HARD)}, hardware="a GPU")
    assert "seconds_encode" not in set(
        audiotok.compare("elsewhere", "good", results=folder)["column"]
    )


def test_a_family_name_stands_for_its_only_member(folder):
    put(folder, "good:k=1", {"pesq": list(2.5 + HARD)}, family="better")
    assert set(comparison.compare("better", "bad", results=folder)["codec_a"]) == {"good:k=1"}
    put(folder, "good:k=2", {"pesq": list(2.5 + HARD)}, family="better")
    with pytest.raises(ResultsError, match=r"better is ambiguous \(good:k=1, good:k=2\): name one"):
        comparison.compare("better", "bad", results=folder)


def test_what_cannot_be_compared_is_one_line(folder, tmp_path):
    with pytest.raises(ResultsError, match="goood was not measured: did you mean good"):
        comparison.compare("goood", "bad", results=folder)
    put(folder, "far", {"pesq": [1.0, 2.0]}, data="others")
    with pytest.raises(ResultsError, match="not measured on the same clips by .*audiotok bench"):
        comparison.compare("far", "bad", results=folder)
    with pytest.raises(ResultsError, match="has the suite speech: there is smoke, smoke v1"):
        comparison.compare("good", "bad", results=folder, suite="speech")
    with pytest.raises(ResultsError, match="has the data nothing: there is clips, others"):
        comparison.compare("good", "bad", results=folder, data="nothing")
    put(folder, "old", {"pesq": list(2.5 + HARD)}, packages={"pesq": "0.0.3"})
    with pytest.raises(ResultsError, match=r"good and .*old are mixed: pesq is 0\.0\.4 .* 0\.0\.3"):
        comparison.compare("good", "old", results=folder)


def test_repeated_columns_at_16k_do_not_count(folder, monkeypatch):
    about = {name: ("reconstruction", "dB", True, 3) for name in ("sdr", "sdr_16k", "mcd_16k")}
    monkeypatch.setattr(result_kit, "ABOUT", result_kit.ABOUT | about)
    for seed, name in enumerate(("one", "two")):
        sdr = spread(1.0, seed=seed)
        rows = {"sdr": sdr, "sdr_16k": sdr, "mcd_16k": spread(1.2, seed=seed)}
        put(folder, name, rows | {"pesq": spread(2.0, seed=seed)})
    frame = audiotok.compare("one", "two", results=folder)
    assert set(frame["comparisons"]) == {3}  # pesq, sdr, and mcd_16k, which repeats nothing
    repeat, column = row(frame, "sdr_16k"), row(frame, "sdr")
    assert repeat["p_holm"] == column["p_holm"] and repeat["better"] == column["better"]
    sdr[0] += 1  # of one codec: at 16 kHz it is another number
    rows = {"sdr": sdr, "sdr_16k": spread(1.0, seed=1), "mcd_16k": spread(1.2)}
    put(folder, "two", rows | {"pesq": spread(2.0)})
    assert set(audiotok.compare("one", "two", results=folder)["comparisons"]) == {4}


class Trials(tasks.Task):
    """A number of the clips that have trials, of which two of each three have."""

    name = "reconstruction"
    columns = tasks.get("reconstruction").columns

    def basis(self, column):
        return "si_sdr" if column == "pesq" else column

    def summarise(self, rows, tokens):
        return {"pesq": float(rows["si_sdr"].median())} if "si_sdr" in rows else {}


def test_n_of_a_number_of_the_corpus_is_that_of_its_clips(folder, monkeypatch):
    for seed, name in enumerate(("one", "two")):
        trials = [
            v if n % 3 and n != seed else np.nan for n, v in enumerate(spread(1.0, seed=seed))
        ]
        pesq = [np.nan] * 39 + [float(np.nanmedian(trials))]  # its mean is that of the trials
        path = put(folder, name, {"pesq": pesq, "si_sdr": trials, "stoi": spread(0.5, seed=seed)})
        content = json.loads((path / "summary.json").read_text())
        content["scores"]["pesq"] |= {"n": 26, "failed": 0}
        results.write_json(path / "summary.json", content)
    monkeypatch.setattr(tasks, "get", lambda name: Trials())
    monkeypatch.setattr(comparison, "on_the_same_clips", lambda *args: None)
    assert row(audiotok.compare("one", "two", results=folder), "pesq")["n"] == 25


class Median(tasks.Task):
    """A number of the corpus that is no weighted mean."""

    name = "reconstruction"

    def summarise(self, rows, tokens):
        return {"pesq": float(rows["pesq"].median())}


def test_a_number_that_a_task_makes_of_its_rows_is_drawn_by_that_task(folder, monkeypatch):
    frames = {}
    for name in ("good", "bad"):
        path = folder / "smoke-v1/clips-0a0b0a0b" / name
        frames[name] = results.read(path).rows["pesq"]
        content = json.loads((path / "summary.json").read_text())
        content["scores"]["pesq"]["mean"] = float(frames[name].median())
        results.write_json(path / "summary.json", content)
    monkeypatch.setattr(tasks, "get", lambda name: Median())
    pesq = row(audiotok.compare("good", "bad", results=folder), "pesq")
    expected = frames["good"].median() - frames["bad"].median()
    assert pesq["difference"] == pytest.approx(expected) and pesq["n"] == 40
    assert pesq["low"] < expected < pesq["high"]
    again = row(audiotok.compare("good", "bad", results=folder), "pesq")
    assert again["low"] == pesq["low"]
