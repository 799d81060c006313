from __future__ import annotations

import subprocess
import sys

import pytest
from huggingface_hub import ModelCard
from support.result_kit import put, spread

from audiotok.errors import ResultsError
from audiotok.report import hub
from audiotok.results import results


@pytest.fixture
def folder(tmp_path):
    rows = {"pesq": [float("nan"), *spread(2.5, n=39)], "stoi": spread(0.9)}
    put(tmp_path, "mini", rows, licence_weights="CC-BY-4.0", training_data=["LibriTTS"])
    put(tmp_path, "dead", {"pesq": [float("nan")] * 4, "stoi": [0.1] * 4}, data="others")
    put(tmp_path, "part", {"stoi": [0.1] * 4}, limit=4)
    return tmp_path


def test_the_hub_reads_back_what_was_measured(folder):
    card = ModelCard(hub.front_matter(folder, "mini")).data
    assert card.license == "cc-by-4.0" and card.model_name == "mini"
    found = {result.metric_type: result for result in card.eval_results}
    (measured,) = [r for r in results.read_all(folder) if r.codec == "mini"]
    assert found["pesq"].metric_value == measured.scores["pesq"]["mean"]
    args = found["pesq"].metric_args
    assert args["ci95"] == measured.scores["pesq"]["ci95"]
    assert (args["n"], args["failed"], args["unit"]) == (39, 1, "MOS")
    assert found["pesq"].dataset_revision == measured.summary["data"]["sha256"]
    assert found["seconds_encode"].metric_args["hardware"] == "a CPU"
    assert all(result.verified is None for result in card.eval_results)


def test_what_is_missing_is_left_out(folder):
    found = ModelCard(hub.front_matter(folder, "dead")).data.eval_results
    assert "pesq" not in {result.metric_type for result in found}


def test_parts_and_strangers_are_refused(folder):
    for name in ("part", "nobody"):
        with pytest.raises(ResultsError, match="not measured on a whole suite.*audiotok bench"):
            hub.front_matter(folder, name)


def test_it_needs_no_torch(folder):
    code = (
        "import sys; from audiotok.report import hub; hub.front_matter(sys.argv[1], 'mini');"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, folder], check=True)
