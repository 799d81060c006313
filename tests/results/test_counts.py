"""Counts by hand, and those of every number in the results of this repository."""

from pathlib import Path

import pandas as pd

from audiotok import tasks
from audiotok.results import counts, results

ROWS = pd.DataFrame({"clip": ["a", "b", "c", "d"], "x": [1.0, None, None, 2.0]})


def failed(*failures, column="x", basis="x"):
    return counts.failed(ROWS, failures, task="t", column=column, basis=basis)


def test_by_hand():
    assert counts.counted(ROWS, "x") == 2 and counts.counted(ROWS, "y") == 0
    assert failed({"clip": "b"}) == 1  # the whole clip
    assert failed({"clip": "b", "task": "t"}, {"clip": "b", "task": "t", "column": "x"}) == 1
    assert failed({"clip": "b", "task": "u"}, {"clip": "c", "task": "t", "column": "y"}) == 0
    assert failed({"clip": "a", "task": "t"}) == 0  # it has a value: the task failed later
    assert failed({"clip": "a"}, column="y", basis="y") == 1


def test_every_number_is_made_of_clips():
    """n is the number of rows that a number is made of, and never stands beside no number."""
    tasks_seen = set()
    for result in results.read_all(Path(__file__).parents[2] / "results"):
        for name, score in result.scores.items():
            if score["task"] in tasks_seen:
                continue
            task = tasks.get(score["task"])
            rows = result.times if task.timing else result.rows
            assert (score["n"] > 0) == (score["mean"] is not None), (result.folder, name)
            if score["n"]:
                assert score["n"] == counts.counted(rows, task.basis(name)), (result.folder, name)
            assert score["n"] + score["failed"] + score["not_applicable"] == score["clips"]
        tasks_seen |= {score["task"] for score in result.scores.values() if score["n"]}
    assert {
        "tokens",
        "token_information",
        "speaker",
        "acoustic_lm",
        "probe_verification",
    } <= tasks_seen
