from __future__ import annotations

import pytest
from support.result_kit import put, spread

from audiotok.errors import ResultsError
from audiotok.report import leaderboard
from audiotok.results import results
from audiotok.results.ranking import rank


def group(folder):
    return next(found for _, found in results.by_setting(results.read_all(folder)))


@pytest.fixture
def folder(tmp_path):
    hard = spread(0, seed=9, width=0.5)

    def near(mean, seed):
        return [h + s for h, s in zip(hard, spread(mean, seed=seed, width=0.02), strict=True)]

    put(tmp_path, "reference", {"pesq": [4.6] * 40, "mel_distance": [0.0] * 40}, role="ceiling")
    put(tmp_path, "best", {"pesq": near(3, 1), "mel_distance": near(1, 1)})
    put(tmp_path, "twin", {"pesq": near(2, 2), "mel_distance": near(2, 2)})
    put(tmp_path, "other", {"pesq": near(2, 3), "mel_distance": near(3, 3)})
    put(tmp_path, "random", {"pesq": [1.0] * 40, "mel_distance": [9.0] * 40}, role="floor")
    return tmp_path


def test_ties_share_a_rank_and_the_mean_is_over_columns(folder):
    found = rank(group(folder), "reconstruction")
    assert found.columns["pesq"] == {"best": 1, "twin": 2, "other": 2}
    assert found.columns["mel_distance"] == {"best": 1, "twin": 2, "other": 3}
    assert found.mean == {"best": 1, "twin": 2, "other": 2.5}
    assert found.incomplete == {}
    assert rank(group(folder), "speed") is None  # times are not ranked


def test_nobody_gains_by_failing(folder):
    """A codec that leaves out the clips it would do badly on is not ranked, and it is said."""
    pesq = [4.5 if n else float("nan") for n in range(40)]
    put(folder, "picky", {"pesq": pesq, "mel_distance": [0.1] * 40})
    put(folder, "partial", {"pesq": [4.6] * 40})
    found = rank(group(folder), "reconstruction")
    assert found.mean.keys() == {"best", "twin", "other"}
    assert found.columns["pesq"]["best"] == 1
    assert found.incomplete == {"picky": ["pesq"], "partial": ["mel_distance"]}
    files = leaderboard.build(folder)
    text = files["LEADERBOARD.md"].decode()
    assert "| ranks | mean | mel_distance | pesq |" in text
    assert text.index("| best ? | 1.00 | 1 | 1 |") < text.index("| twin ? | 2.00 | 2 | 2 |")
    assert "- picky is not ranked: pesq not there for every clip" in text
    lines = files["leaderboard.csv"].decode().splitlines()
    assert any(",best,neural,pesq," in line and line.endswith(",1,1,?") for line in lines)
    assert any(",picky,neural,pesq," in line and line.endswith(",,,?") for line in lines)


def test_clips_that_all_lack_cost_nobody_its_rank(folder):
    for name in ("best", "twin", "other"):
        path = folder / "smoke-v1/clips-0a0b0a0b" / name
        rows = results.read(path).rows
        pesq = [float("nan"), *rows["pesq"][1:]]
        put(folder, name, {"pesq": pesq, "mel_distance": list(rows["mel_distance"])})
    assert rank(group(folder), "reconstruction").columns["pesq"]["best"] == 1


def test_a_column_that_repeats_another_counts_once(folder):
    for name in ("best", "twin", "other"):
        rows = results.read(folder / "smoke-v1/clips-0a0b0a0b" / name).rows
        put(folder, name, {"pesq": list(rows["pesq"]), "stoi": list(rows["pesq"])})
    assert list(rank(group(folder), "reconstruction").columns) == ["pesq"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"packages": {"pesq": "0.0.5"}}, r"pesq is 0\.0\.4 in the one and 0\.0\.5"),
        ({"versions": {"pesq": 2}}, r""),
        ({"versions": {"task": 99}}, r"reconstruction \(task\) is v\d+ in the one and v99"),
    ],
)
def test_the_leaderboard_refuses_mixes_and_names_both(folder, change, told):
    put(folder, "zebra", {"pesq": spread(2), "mel_distance": spread(2)}, **change)
    if not told:  # a metric that only one of them has is no contradiction
        leaderboard.build(folder)
        return
    with pytest.raises(ResultsError, match=rf"reference and .*zebra are mixed: {told}"):
        leaderboard.build(folder)
