"""Who makes the shards: this process, processes of this machine, or a Ray cluster.

Each is a generator of what was made, in the order in which it is finished. The clusters' scheduling
is Ray's: a shard is a task, and what was lost with a node Ray runs again elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import islice
from typing import Any

from audiotok.corpora.encoder import Encoder, Job, Made, Tick, Work, kept
from audiotok.corpora.processes import spawning
from audiotok.errors import CorpusError
from audiotok.harness.clusters import connected

_LOOK = 0.5  # seconds between two looks at what processes have done


def here(job: Job, works: Iterable[Work], tick: Tick) -> Iterator[Made]:
    """In this process: where the device is a GPU, and for a debugger."""
    encoder = Encoder(job)
    try:
        for work in works:
            yield encoder.make(work, tick)
    finally:
        encoder.close()


def local(job: Job, works: Iterable[Work], tick: Tick, count: int) -> Iterator[Made]:
    """In `count` processes of this machine."""
    import multiprocessing

    works = iter(works)
    done = multiprocessing.get_context("spawn").Array("d", 2)  # clips and seconds, of all of them
    seen = [0, 0.0]

    def look() -> None:
        with done.get_lock():
            clips, seconds = int(done[0]) - seen[0], done[1] - seen[1]
        seen[0] += clips
        seen[1] += seconds
        tick(clips, seconds)

    with spawning(count, _set_counter, (done,)) as pool:
        try:
            running = {pool.submit(_make, job, work) for work in islice(works, 2 * count)}
            while running:
                finished, running = wait(running, _LOOK, FIRST_COMPLETED)
                look()
                running |= {pool.submit(_make, job, work) for work in islice(works, len(finished))}
                for future in finished:
                    yield future.result()
        except BrokenProcessPool:
            raise CorpusError(
                "a process that encodes died, perhaps for memory: finished shards are kept and the "
                "same command goes on; where memory is short, give fewer --workers"
            ) from None


_counter = None


def _set_counter(counter) -> None:
    global _counter
    _counter = counter


def _count(clips: int, seconds: float) -> None:
    with _counter.get_lock():
        _counter[0] += clips
        _counter[1] += seconds


def _make(job: Job, work: Work) -> Made:
    return kept(job).make(work, _count)


def on_ray(job: Job, works: Iterable[Work], tick: Tick, address: str | None) -> Iterator[Made]:
    """On a Ray cluster, a process for each GPU or, without, for each core of its nodes.

    Args:
        address: see `clusters.connected`.
    """
    kind = "CPU"
    if job.device.startswith("cuda"):
        kind, job = "GPU", replace(job, device="cuda")  # the one that Ray gives to the task
    with connected(address) as ray:
        yield from _made_by(ray, kind, job, works, tick)


def _made_by(ray: Any, kind: str, job: Job, works: Iterable[Work], tick: Tick) -> Iterator[Made]:
    task = ray.remote(**{f"num_{kind.lower()}s": 1}, max_retries=-1)(_make_on_ray)
    works, running = iter(works), set()
    try:
        slots = int(ray.cluster_resources().get(kind, 0))
        if slots < 1:
            raise CorpusError(f"the Ray cluster has no {kind}: add nodes to it")
        running = {task.remote(job, work) for work in islice(works, 2 * slots)}
        while running:
            finished, left = ray.wait(list(running), num_returns=1)
            running = set(left) | {task.remote(job, work) for work in islice(works, 1)}
            try:
                made = ray.get(finished[0])
            except ray.exceptions.RayTaskError as error:
                raise error.as_instanceof_cause() from None
            tick(made.clips + len(made.failures), made.seconds)
            yield made
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _make_on_ray(job: Job, work: Work) -> Made:
    import torch

    if job.device == "cpu":
        torch.set_num_threads(1)
    return kept(job).make(work, lambda clips, seconds: None)
