from __future__ import annotations

import os
import time

import numpy as np
import pytest
from support import bench_kit

from audiotok.data import Clip
from audiotok.errors import ResultsError
from audiotok.harness.workers import Job, Workers
from audiotok.tasks import Task

SOUND = (np.zeros((1, 800), np.float32), 8000)


class Threads(Task):
    """Tells what its process is like."""

    name = "threads"

    def score(self, item):
        import torch

        time.sleep(2 if item.clip.id == "slow" else 0)
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
        while workers._busy:  # until all have started
            time.sleep(0.05)
        for index, job in jobs(names):
            workers.submit(index, job)
            scores |= dict(workers.finished())
        scores |= dict(workers.finished(wait=True))
    return scores


def test_clips_go_to_processes_of_one_thread_and_none_is_idle():
    scores = collect([Threads()], "abcdefgh", 2)
    assert sorted(scores) == list(range(8))
    reported = [scores[index].scores["threads"].values for index in range(8)]
    processes = {values["process"] for values in reported}
    assert len(processes) == 2 and os.getpid() not in processes
    assert {values["threads"] for values in reported} == {1}


def test_clips_of_a_busy_process_go_to_another():
    scores = collect([Threads()], ["slow", "b", "c", "d", "e", "f"], 2)
    processes = [scores[index].scores["threads"].values["process"] for index in range(6)]
    assert processes[0] != processes[1]
    assert processes.count(processes[0]) < 3


def test_no_processes_at_all():
    scores = collect([Threads()], "ab", 0)
    processes = {scored.scores["threads"].values["process"] for scored in scores.values()}
    assert processes == {os.getpid()}


def test_what_a_task_raises_is_a_failure_of_that_task():
    scores = collect([bench_kit.Level(), Threads()], ["raises", "peakless"], 0)
    level = scores[0].scores["level"]
    assert level.failures == [
        {
            "stage": "score", "task": "level", "message": "ValueError: no level",
            "transient": False,
        }
    ]  # fmt: skip
    assert not level.lasting
    assert scores[0].scores["threads"].values["text"] == "words"
    level = scores[1].scores["level"]
    assert level.failures == [
        {
            "stage": "score", "task": "level", "column": "peak_error", "message": "no peak",
            "transient": False,
        }
    ]  # fmt: skip
    assert level.lasting and "level_error" in level.values


def test_only_the_tasks_that_a_job_names():
    with Workers([bench_kit.Level(), Threads()], 0) as workers:
        workers.submit(0, Job(Clip("a"), SOUND, SOUND, tasks=["threads"]))
        [(_, scored)] = workers.finished(wait=True)
    assert list(scored.scores) == ["threads"]


def test_what_cannot_be_pickled_is_a_failure_and_the_next_clip_is_scored():
    with Workers([Threads()], 1) as workers:
        workers.submit(0, Job(Clip("a"), SOUND, SOUND, observed={"threads": lambda: 0}))
        workers.submit(1, Job(Clip("b"), SOUND, SOUND))
        scored = dict(workers.finished(wait=True))
    assert "did not reach" in scored[0].failure.message and not scored[0].failure.transient
    assert scored[1].scores["threads"].values["text"] == "words"


def test_processes_that_cannot_start_end_the_run():
    with (
        pytest.raises(ResultsError, match="cannot start .exit code 3"),
        Workers([Unborn()], 1) as workers,
    ):
        workers.submit(0, next(jobs("a"))[1])
        list(workers.finished(wait=True))
