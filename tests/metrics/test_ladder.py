"""The ladder of degradations: its judgement by hand, and that its page names what went wrong."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from audiotok import metrics
from audiotok.metrics import Column

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results/metric_ladder"


@pytest.fixture(scope="module")
def ladder():
    path = ROOT / "benchmarks/metric_ladder.py"
    spec = importlib.util.spec_from_file_location("metric_ladder", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("higher_is_better", "above", "values", "expected"),
    [
        (True, {"a": 1.0, "b": 2.0}, {"a": 0.5, "b": 2.1}, "right"),
        (False, {"a": 1.0, "b": 2.0}, {"a": 0.5, "b": 2.1}, "wrong"),
        (True, {"a": 1.0, "b": 9.0}, {"a": 2.0}, "wrong"),  # b has no value below
        (True, {"a": 1.0}, {"a": 1.0}, "not at all"),
        (None, {"a": 1.0}, {"a": 0.5}, ""),
        (True, {"a": 1.0}, {"b": 0.5}, ""),
        (True, None, {"a": 1.0}, ""),
    ],
)
def test_moved(ladder, higher_is_better, above, values, expected):
    column = Column("score", "", higher_is_better, 2, "a score")
    above = above if above is None else pd.Series(above)
    assert ladder.moved(column, above, pd.Series(values)) == expected


def test_a_clip_through_the_ladder(ladder, capsys):
    clips = ladder.speech(2)
    assert len({name.partition("_")[0] for name in clips}) == 2  # two speakers
    clips.popitem()
    chosen = [metrics.get(name) for name in ("si_sdr", "alignment", "bandwidth")]
    table = ladder.judge(ladder.measure(clips, chosen), [c for m in chosen for c in m.columns])
    judged = table[table["column"].isin(["si_sdr", "lsd"]) & (table["rung"] != "reference")]
    assert set(judged["moved"]) == {"right"}
    assert set(table["n"]) == {1}
    noise = table[(table["column"] == "si_sdr") & (table["ladder"] == "noise")]
    assert noise["mean"].round().tolist() == [100, 20, 10, 0]
    ladder.show(table)
    assert "right" in capsys.readouterr().out


@pytest.mark.parametrize("part", ["", "mos/"])
def test_the_page_names_all_that_went_wrong(part):
    table = pd.read_csv(RESULTS / part / "ladder.csv", keep_default_na=False)
    pages = (RESULTS / "README.md").read_text().split("## Predicted opinion scores")
    page = pages[1 if part else 0]
    bad = table[table["moved"].isin(["wrong", "not at all"])]
    for row in bad.itertuples():
        assert f"| {row.rung} | {row.column} | {row.moved} |" in page
        above = table[(table["ladder"] == row.ladder) & (table["column"] == row.column)]
        before = above["mean"].shift(1)[row.Index]
        assert f"| {before:.4f} | {row.mean:.4f} |" in page
    assert page.count("| wrong |") + page.count("| not at all |") == len(bad)
    steps = table[table["moved"] != ""]
    assert f"{(steps['moved'] == 'right').sum()} of {len(steps)} steps" in page
