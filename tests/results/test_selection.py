"""A name also selects the columns of a task with an option, in `rank_correlation.py` too."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support import result_kit

from audiotok import tasks
from audiotok.harness.suite import load_suite
from audiotok.results import results
from audiotok.results.selection import select

SCRIPT = Path(__file__).parents[2] / "benchmarks/rank_correlation.py"


def columns(task):
    return {column.name: {"task": task.name} for column in task.columns}


@pytest.mark.parametrize("name", ["noises", "My Noises"])
def test_the_headline_of_enhancement_selects_the_columns_of_any_folder(tmp_path, name):
    (tmp_path / name).mkdir()
    for number in range(2):
        samples = 0.1 * np.random.default_rng(number).standard_normal(1600)
        soundfile.write(tmp_path / name / f"{number}.wav", samples, 16_000)
    task = tasks.get(f"enhance:{tmp_path / name}")
    headline = load_suite("enhancement").headline
    expected = [c + task.suffix for c in headline if c.startswith("enhance_")]
    assert expected and set(expected) <= columns(task).keys()
    assert select(headline, columns(task)) == expected


def test_columns_come_once_and_in_the_order_of_the_names():
    available = columns(tasks.get("asr_whisper:base")) | {"stoi": {"task": "reconstruction"}}
    names = ["stoi", "wer_whisper_base", "wer_whisper", "nothing"]
    assert select(names, available) == ["stoi", "wer_whisper_base"]
    assert select(["wer"], available) == []


def test_the_script_finds_the_column_of_an_option_and_keeps_names_without_results(tmp_path):
    spec = importlib.util.spec_from_file_location("rank_correlation_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for place in range(8):
        rows = {"stoi": [place / 10] * 4, "dwer_whisper_base": [-place / 10] * 4}
        result_kit.put(tmp_path, f"codec{place}", rows)
    table = script.table(results.read_all(tmp_path), ["stoi"], ["dwer_whisper", "enhance_dwer"])
    assert list(table["second"]) == ["dwer_whisper_base", "enhance_dwer"]
    assert list(table.points) == [8, 0] and table.tau[0] == pytest.approx(1)
