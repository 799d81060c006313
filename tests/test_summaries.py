"""benchmarks/summaries.py makes the intervals of stored results anew; the committed ones are."""

import importlib.util
import json
from pathlib import Path

import pytest
from support.result_kit import SHA256, put, spread

from audiotok.results import results
from audiotok.results.validating import validate

ROOT = Path(__file__).parents[1]


@pytest.fixture
def summaries():
    spec = importlib.util.spec_from_file_location("summaries", ROOT / "benchmarks/summaries.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_ids_of_clips_name_speakers_where_a_rule_is_written(tmp_path, summaries, monkeypatch):
    rows = {"pesq": spread(2.0), "wer": [0.25, 0.5] * 20, "words": [4.0, 8.0] * 20}
    folder = put(tmp_path, "one", rows)
    summaries.renew(results.read(folder))
    assert not summaries.renew(results.read(folder))  # no rule: nothing changes
    assert "over 40 clips of unknown" in results.read(folder).scores["pesq"]["interval"]
    monkeypatch.setattr(summaries, "SPEAKERS", {("clips", SHA256[:8]): r"clip(\d)\d*"})
    assert summaries.renew(results.read(folder), check=True)
    assert "speaker" not in results.read(folder).rows
    assert summaries.renew(results.read(folder))
    result = results.read(folder)
    assert list(result.rows["speaker"][8:12]) == ["8", "9", "1", "1"]
    for column in ("pesq", "wer"):
        assert result.scores[column]["interval"] == "t over 10 speakers", column
    assert validate(tmp_path) == (1, [])
    assert not summaries.renew(result)


RESULTS = sorted((ROOT / "results").glob("*-v*/*"))
SPEECH = [path for path in RESULTS if not path.parent.name.startswith("sounds-")]


@pytest.mark.parametrize("path", SPEECH, ids=lambda path: path.name)
def test_intervals_of_committed_results_are_over_speakers(path):
    for summary in path.glob("*/summary.json"):
        scores = json.loads(summary.read_bytes())["scores"].values()
        made = {score["interval"] for score in scores if score["ci95"]}
        assert all("speaker" in text and "unknown" not in text for text in made), summary
