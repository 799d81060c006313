from __future__ import annotations

from pathlib import Path

import pytest

from audiotok import data, metrics, tasks
from audiotok.codec import registry
from audiotok.errors import ResultsError
from audiotok.harness import harness
from audiotok.harness.settings import BenchSettings
from audiotok.harness.suite import load_suite
from audiotok.system import assets

SHIPPED = assets.names("benchmarks")


def test_what_ships():
    assert {"smoke", "speech", "readers", "sounds", "dates"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_suite_names_what_is_here(name):
    suite = load_suite(name)
    assert suite.name == name and suite.version >= 1
    assert {task.partition(":")[0] for task in suite.tasks} <= set(tasks.names())
    assert suite.data is None or suite.data in data.names()
    for baseline in suite.baselines:
        assert registry.find_card(baseline).kind == "baseline"
    suite_tasks = [tasks.get(task) for task in suite.tasks]
    columns = {column.name for task in suite_tasks for column in task.columns}
    columns.update(*(task.left_out() for task in suite_tasks))  # packages that are not installed
    columns |= {column.name for metric in metrics.list_metrics() for column in metric.columns}
    grammar = {"wer_closed", "wer_closed_area_32"}  # where the corpus has one
    assert set(suite.headline) - grammar <= columns


def test_a_suite_without_a_corpus_asks_for_one(tmp_path):
    suite = load_suite("sounds")
    assert suite.source("mine") == "mine"
    with pytest.raises(ResultsError, match="the suite sounds brings no corpus: give yours with"):
        suite.source(None)
    with pytest.raises(ResultsError, match="brings no corpus"):
        harness.run(BenchSettings(tokenizer="mulaw", suite="sounds", out=tmp_path, workers=0))
    assert not list(tmp_path.iterdir())


def test_a_newcomer_adds_a_corpus_in_one_file(tmp_path, monkeypatch):
    """A module with NAMES and load is found by name, also by a suite."""
    from support import bench_kit

    clips = bench_kit.write_clips(tmp_path / "clips", ["a", "b"])
    package = tmp_path / "more"
    package.mkdir()
    (package / "meadow.py").write_text(
        '"""Meadow: two clips of noise."""\n\n'
        "from pathlib import Path\n\nfrom audiotok.data import Clip, Corpus\n\n"
        'NAMES = ("meadow/test",)\n\n\n'
        "def load(name: str) -> Corpus:\n"
        f"    files = sorted(Path({str(clips)!r}).glob('*.wav'))\n"
        "    return Corpus(name, tuple(Clip(file.stem, file) for file in files))\n"
    )
    monkeypatch.setattr(data, "__path__", [*data.__path__, str(package)])
    assert "meadow/test" in data.names()
    assert [clip.id for clip in data.load("meadow/test")] == ["a", "b"]
    bench_kit.install(monkeypatch.setattr)
    suite = bench_kit.write_suite(tmp_path / "tiny.yaml", data="meadow/test")
    results = harness.run(
        BenchSettings(tokenizer="mulaw", suite=suite, out=tmp_path / "out", workers=0)
    )
    assert results[0].summary["data"]["name"] == "meadow/test"
    assert Path(results[0].folder).parent.name.startswith("meadow+test++")
