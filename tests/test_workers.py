from __future__ import annotations

import os

import bench_kit
import numpy as np
import pytest

from audiotok.data import Clip
from audiotok.errors import ResultsError
from audiotok.tasks import Task
from audiotok.workers import Job, Workers

SOUND = (np.zeros((1, 800), np.float32), 8000)


class Threads(Task):
    """Tells what its process is like."""

    name = "threads"

    def score(self, item):
        import torch

        return {"threads": torch.get_num_threads(), "process": os.getpid(), "text": "words"}


class Unborn(Task):
    """Cannot be unpickled."""

    name = "unborn"

    def __reduce__(self):
        return os._exit, (3,)


def jobs(names):
    return enumerate(Job(Clip(name), SOUND, SOUND) for name in names)


def collect(tasks, names, count):
    scores = {}
    with Workers(tasks, count) as workers:
        for index, job in jobs(names):
            scores |= dict(workers.finished(wait_for=index))
            workers.submit(index, job)
        scores |= dict(workers.rest())
    return scores


def test_a_clip_goes_to_the_process_of_its_index_which_has_one_thread():
    scores = collect([Threads()], "abcde", 2)
    assert sorted(scores) == list(range(5))
    processes = [scores[index].values["process"] for index in range(5)]
    assert processes[0] == processes[2] == processes[4] != processes[1] == processes[3]
    assert os.getpid() not in processes
    assert {score.values["threads"] for score in scores.values()} == {1}


def test_no_processes_at_all():
    scores = collect([Threads()], "ab", 0)
    assert {score.values["process"] for score in scores.values()} == {os.getpid()}


def test_what_a_task_raises_is_a_failure_of_that_task():
    scores = collect([bench_kit.Level(), Threads()], ["raises", "peakless"], 0)
    assert scores[0].failures == [
        {"stage": "score", "task": "level", "message": "ValueError: no level"}
    ]
    assert scores[0].values["text"] == "words"
    assert scores[1].failures == [
        {"stage": "score", "task": "level", "column": "peak_error", "message": "no peak"}
    ]
    assert "level_error" in scores[1].values


def test_processes_that_cannot_start_end_the_run():
    with pytest.raises(ResultsError, match="cannot start .exit code 3"):
        collect([Unborn()], "ab", 1)
