from __future__ import annotations

import pandas as pd
import pytest
from support.result_kit import put, spread

from audiotok.errors import ResultsError
from audiotok.report import leaderboard
from audiotok.results import results, speakers, statistics
from audiotok.results.validating import validate


def described(labels):
    return speakers.described(statistics.Clusters(labels, len(labels)))


def test_a_clip_is_of_its_speaker_else_of_its_session():
    rows = pd.DataFrame({"speaker": ["a", None, "a", ""], "session": ["x", "y", "z", None]})
    assert speakers.labels(rows) == ["speaker a", "session y", "speaker a", None]
    assert speakers.labels(rows[["session"]])[:2] == ["session x", "session y"]
    assert speakers.labels(pd.DataFrame({"clip": ["1", "2"]})) == [None, None]


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (["speaker a", "speaker b"], "t over 2 speakers"),
        (["speaker a", "speaker b", None], "t over 2 speakers and 1 other clip"),
        (["speaker a", "session b"], "t over 1 speaker and 1 session"),
        ([f"session {n}" for n in range(50)], "bootstrap over 50 sessions"),
        ([None] * 3, "t over 3 clips of unknown speakers"),
        (["speaker a"] * 3, "t over 3 clips of one speaker"),
    ],
)
def test_what_an_interval_is_over_in_words(labels, text):
    assert described(labels) == text


def test_tables_say_what_their_intervals_are_over(tmp_path):
    for name in ("one", "two"):
        put(tmp_path, name, {"pesq": spread(2.0)}, speaker=["s", "t"] * 20)
    text = leaderboard.build(tmp_path)["LEADERBOARD.md"].decode()
    assert "Intervals: t over 2 speakers." in text
    for name in ("one", "two"):
        put(tmp_path, name, {"pesq": spread(2.0)})
    text = leaderboard.build(tmp_path)["LEADERBOARD.md"].decode()
    assert "over 40 clips of unknown speakers; if several clips are of one speaker" in text
    for name in ("one", "two"):
        put(tmp_path, name, {"pesq": spread(2.0)}, speaker=["s"] * 40)
    text = leaderboard.build(tmp_path)["LEADERBOARD.md"].decode()
    assert "over 40 clips of one speaker; they say nothing of others" in text


def test_validate_compares_intervals_with_the_speakers_of_the_rows(tmp_path):
    folder = put(tmp_path, "one", {"pesq": spread(2.0)}, speaker=["s", "t"] * 20, seal=False)
    assert validate(tmp_path) == (1, [])
    path = folder / "summary.json"
    result = results.read(folder)
    over_clips = statistics.mean_score(result.rows["pesq"], 0)["ci95"]
    content = result.summary
    content["scores"]["pesq"]["ci95"] = over_clips
    results.write_json(path, content)
    assert any("pesq: ci95" in str(finding) for finding in validate(tmp_path)[1])
    for score in (*content["scores"].values(), *result.run["times"].values()):
        del score["interval"]  # as earlier versions wrote it
    results.write_json(path, content)
    results.write_json(folder / "run.json", result.run)
    (finding,) = validate(tmp_path)[1]
    assert not finding.error and "intervals are over clips" in finding.text


def test_speakers_are_text(tmp_path):
    folder = put(tmp_path, "one", {"pesq": spread(2.0)}, speaker=[1.0] * 40)
    with pytest.raises(ResultsError, match="the column speaker is of double, expected strings"):
        _ = results.read(folder).rows
