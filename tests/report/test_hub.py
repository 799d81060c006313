from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
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
    metrics = {result.metric_type: result for result in card.eval_results}
    (measured,) = [r for r in results.read_all(folder) if r.codec == "mini"]
    assert metrics["pesq"].metric_value == measured.scores["pesq"]["mean"]
    args = metrics["pesq"].metric_args
    assert args["ci95"] == measured.scores["pesq"]["ci95"]
    assert (args["n"], args["failed"], args["unit"]) == (39, 1, "MOS")
    assert args["data_sha256"] == measured.summary["data"]["sha256"]
    assert metrics["pesq"].dataset_revision is None  # on the Hub this is a commit of a data set
    assert (metrics["pesq"].metric_name, metrics["pesq"].task_name) == ("PESQ", "Signal quality")
    assert metrics["seconds_encode"].metric_args["hardware"] == "a CPU"
    assert all(result.verified is None for result in card.eval_results)


def test_what_is_missing_is_left_out(folder):
    metrics = ModelCard(hub.front_matter(folder, "dead")).data.eval_results
    assert "pesq" not in {result.metric_type for result in metrics}


@pytest.mark.parametrize(
    ("licence", "shown"),
    [("MIT", ("mit", None)), ("unclear", ("other", "unclear")), (None, (None, None))],
)
def test_a_licence_is_one_that_the_hub_knows_or_other_with_its_name(tmp_path, licence, shown):
    put(tmp_path, "codec", {"pesq": spread(2.0)}, licence_weights=licence)
    card = ModelCard(hub.front_matter(tmp_path, "codec")).data
    assert (card.license, card.get("license_name")) == shown


def test_the_block_has_the_keys_that_the_hub_and_papers_with_code_read(folder):
    block = yaml.safe_load(hub.front_matter(folder, "mini").strip("-\n"))
    assert block["pipeline_tag"] == "audio-to-audio" and block["library_name"] == "audiotok"
    (model,) = block["model-index"]
    assert model["name"] == "mini"
    for result in model["results"]:
        assert result["task"]["type"] == "audio-to-audio"
        assert result["dataset"].keys() >= {"type", "name"}
        for metric in result["metrics"]:
            assert metric.keys() >= {"type", "value", "name"} and "verified" not in metric
            assert isinstance(metric["value"], int | float)


def test_word_errors_have_the_metric_of_the_hub():
    assert hub._METRICS.sub(r"\1", "wer_english_whisper_base") == "wer"
    assert hub._METRICS.sub(r"\1", "dwer_whisper_base") == "dwer_whisper_base"


def test_partial_results_and_unknown_codecs_are_refused(folder):
    for name in ("part", "nobody"):
        with pytest.raises(ResultsError, match="not measured on a whole suite.*audiotok bench"):
            hub.front_matter(folder, name)


def test_it_needs_no_torch(folder):
    code = (
        "import sys; from audiotok.report import hub; hub.front_matter(sys.argv[1], 'mini');"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, folder], check=True)
