"""What was measured, as the metadata that the Hub reads back."""

from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCardData
from typer.testing import CliRunner

from audiotok import hub_card, results
from audiotok.errors import ResultsError

RESULTS = Path(__file__).parents[1] / "results"
FOLDER = RESULTS / "smoke-v1" / "bundled-38d6c314" / "opus-6k"


def test_numbers_come_back_as_they_were():
    text = hub_card.metadata("opus-6k", RESULTS)
    read = ModelCardData(**yaml.safe_load(text), ignore_metadata_errors=False)
    scores = results.read(FOLDER).summary["scores"]
    assert read.model_name == "opus-6k"
    found = {r.metric_type: r for r in read.eval_results if r.task_name == "smoke v1"}
    assert found["stoi"].metric_value == pytest.approx(scores["stoi"]["mean"])
    assert set(found) == {name for name, score in scores.items() if score["mean"] is not None}
    assert found["stoi"].dataset_revision == results.read(FOLDER).summary["data"]["sha256"]


def test_what_was_not_measured():
    from audiotok.cli import app

    with pytest.raises(ResultsError, match="no whole suite of nothing"):
        hub_card.metadata("nothing", RESULTS)
    run = CliRunner().invoke(app, ["card", "mulaw", "-r", str(RESULTS)])
    assert run.exit_code == 0 and yaml.safe_load(run.output)["model-index"][0]["name"] == "mulaw"
