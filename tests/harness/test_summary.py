"""Rows, scores and failures of a journal, by hand."""

import math
import statistics
from types import SimpleNamespace

import pytest
from scipy import stats

from audiotok import metrics, tasks
from audiotok.harness import summary


class Toy(tasks.Task):
    """Mean loudness, and a number of the corpus: all errors by all words."""

    name, version, identity = "toy", 4, {"weights": "abc"}
    columns = (
        tasks.Column("level", "dB", True, 1, "of a clip"),
        tasks.Column("rate", "", False, 3, "of the corpus"),
        tasks.Column("total", "", None, 0, "of tokens"),
    )
    chosen = ("here", "absent")

    def summarise(self, rows, tokens):
        known = rows["level"].dropna()
        number = {"rate": known.sum() / 10} if len(known) else {}
        return number | ({"total": float(sum(tokens))} if tokens else {})

    def basis(self, column):
        return "level"

    def details(self, rows, tokens):
        return {"notes": rows["note"].dropna().tolist()} if "note" in rows else {}


LEVELS = {"a": 1.0, "b": 2.0, "c": 4.0, "d": None, "e": None}
FAILURE = {"stage": "score", "message": "no", "task": "toy"}
ENTRIES = [
    {
        "clip": clip,
        "speaker": None if clip == "b" else f"s{clip}",
        "values": ({} if level is None else {"level": level}) | {"second": 7.0, "note": clip},
        "failures": [FAILURE] if clip == "d" else [],
    }
    for clip, level in LEVELS.items()
]


def test_rows_have_what_was_declared_and_then_what_was_not():
    other = SimpleNamespace(columns=(tasks.Column("second", "s", False, 1, "of another task"),))
    rows = summary.frame("codec", ENTRIES, [Toy()], excluded=[other])
    assert list(rows) == ["codec", "clip", "speaker", "level", "rate", "total", "note"]
    assert rows["codec"].eq("codec").all() and rows["clip"].tolist() == list(LEVELS)
    assert rows["speaker"].fillna("").tolist() == ["sa", "", "sc", "sd", "se"]
    assert rows["level"].tolist()[:3] == [1, 2, 4] and rows["level"].isna().sum() == 2
    assert rows["rate"].isna().all() and rows["rate"].dtype == "float64"
    assert "second" in summary.frame("codec", ENTRIES, [Toy()])
    assert "speaker" not in summary.frame("", [{"clip": "a", "values": {}}], [Toy()])


def test_a_score_is_the_mean_of_the_clips_that_have_a_value():
    scores = summary.scores(ENTRIES, [Toy()], [], 0)
    level = scores["level"]
    assert (level["mean"], level["n"], level["failed"]) == (pytest.approx(7 / 3), 3, 1)
    half = stats.t.ppf(0.975, 2) * statistics.stdev([1, 2, 4]) / math.sqrt(3)
    assert level["ci95"] == pytest.approx([7 / 3 - half, 7 / 3 + half])
    assert level["interval"] == "t over 2 speakers and 1 other clip"
    about = {"unit": "dB", "higher_is_better": True, "digits": 1, "description": "of a clip"}
    assert about.items() <= level.items() and level["task"] == "toy" and "name" not in level


def test_a_number_of_the_corpus_is_computed_again_without_each_speaker():
    scores = summary.scores(ENTRIES, [Toy()], [3, 5], 0)
    assert (scores["rate"]["mean"], scores["rate"]["n"]) == (0.7, 3)
    without = [0.6, 0.5, 0.3]  # each clip left out
    half = stats.t.ppf(0.975, 2) * statistics.pstdev(without) * math.sqrt(2)
    assert scores["rate"]["ci95"] == pytest.approx([0.7 - half, 0.7 + half])
    assert scores["rate"]["interval"] == "t over 2 speakers and 1 other clip"
    total = scores["total"]  # of tokens, which are not resampled
    assert (total["mean"], total["ci95"], total["interval"]) == (8, None, None)
    assert (total["n"], total["failed"]) == (3, 1)


def test_nothing_measured_has_no_number_and_no_interval():
    scores = summary.scores(ENTRIES[3:], [Toy()], [], 0)
    for column in ("level", "rate", "total"):
        score = scores[column]
        assert (score["mean"], score["ci95"], score["n"], score["failed"]) == (None, None, 0, 1)
        assert score["interval"] is None


def test_failures_name_their_clip_and_details_their_task():
    assert summary.failures(ENTRIES) == [{"clip": "d"} | FAILURE]
    assert summary.details(ENTRIES, [Toy()], []) == {"toy": {"notes": list(LEVELS)}}
    assert summary.details([{"clip": "a", "values": {}}], [Toy()], []) == {}


def test_versions_are_of_the_task_its_metrics_and_its_weights(monkeypatch):
    known = {
        name: SimpleNamespace(name=name, version=version, missing=lambda gone=gone: gone)
        for name, version, gone in (("here", 2, None), ("absent", 3, ImportError("no package")))
    }
    monkeypatch.setattr(metrics, "get", known.__getitem__)
    assert summary.versions(Toy()) == {"task": 4, "here": 2, "weights": "abc"}
