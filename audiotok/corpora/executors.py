"""Execution of shards: in this process, in processes of this machine, or on a Ray cluster.

Each executor is a generator of results in order of completion. On a cluster each shard is a Ray
task, and Ray runs tasks of a lost node again on another one.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import islice
from typing import Any

import torch

from audiotok.corpora.encoder import (
    FailedShard,
    Job,
    ShardResult,
    Tick,
    Work,
    cached_encoder,
)
from audiotok.corpora.processes import can_fork, starting
from audiotok.errors import CorpusError

_POLL = 0.5  # seconds between two updates of the progress


def here(job: Job, works: Iterable[Work], tick: Tick) -> Iterator[ShardResult | FailedShard]:
    """In this process, for debugging."""
    for work in works:
        yield cached_encoder(job).make(work, tick)


def local(
    job: Job, works: Iterable[Work], tick: Tick, count: int
) -> Iterator[ShardResult | FailedShard]:
    """In `count` processes of this machine. If a process dies, its shard is tried again, and clips
    that crash the process are skipped: see `_without_crashing_clips`."""
    works, reported = iter(works), [0.0, 0.0]
    fork = job.device == "cpu" and can_fork()
    # the processes end before the threads that wait for them, also after an interrupt
    with ThreadPoolExecutor(count) as threads, ExitStack() as stack:
        processes = [stack.enter_context(_Process(job, fork)) for _ in range(count)]
        running = {
            threads.submit(process.make, work): process
            for process, work in zip(processes, works, strict=False)
        }
        while running:
            finished, _ = wait(running, _POLL, FIRST_COMPLETED)
            done = [sum(process.done[index] for process in processes) for index in (0, 1)]
            tick(int(done[0] - reported[0]), done[1] - reported[1])
            reported = done
            for future in finished:
                process = running.pop(future)
                if (work := next(works, None)) is not None:
                    running[threads.submit(process.make, work)] = process
                yield future.result()


class _Process:
    """One process that encodes; if it dies, it is replaced by a new one.

    Attributes:
        done: number of clips, and seconds of sound, that are done.
    """

    def __init__(self, job: Job, forked: bool):
        # only the process writes it
        self.done = multiprocessing.get_context("spawn").RawArray("d", 2)
        self._job, self._closed, self._forked = job, False, forked
        self._lock = threading.Lock()
        self._stack = ExitStack()

    def __enter__(self) -> _Process:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            self._stack.close()

    def make(self, work: Work) -> ShardResult | FailedShard:
        """Encodes the shard `work`; called in a thread."""
        return _without_crashing_clips(work, self._try)

    def _try(self, work: Work, again: bool) -> ShardResult | FailedShard:
        try:
            return self._pool.submit(_make, self._job, work, not again).result()
        except BrokenProcessPool:
            with self._lock:
                if not self._closed:
                    self._stack.close()
                    self._start()
            raise _ProcessDied from None

    def _start(self) -> None:
        with _STARTING:  # the start changes the environment of this process temporarily
            self._pool = self._stack.enter_context(
                starting(1, _set_counter, (self.done,), self._forked)
            )
            self._forked = False  # a replacement cannot be forked: other threads run by then


_STARTING = threading.Lock()


class _ProcessDied(Exception):
    """The process that encoded a shard died."""


def _without_crashing_clips(
    work: Work, attempt: Callable[[Work, bool], ShardResult | FailedShard]
) -> ShardResult | FailedShard:
    """Encodes the shard `work`, some of whose clips may crash the process.

    The shard is tried twice. Then each clip is encoded alone; those that crash the process are
    skipped and listed as failures.

    Args:
        attempt: function that encodes the shard; its second argument is whether it is a repetition.
            It raises _ProcessDied if the process died.
    """
    for again in (False, True):
        with suppress(_ProcessDied):
            return attempt(work, again)
    left_out = {}
    for recording in [None, *work.recordings]:
        try:
            attempt(replace(work, recordings=[] if recording is None else [recording]), True)
        except _ProcessDied:
            if recording is None:
                return _failed(work, "the encoding process dies while it loads the codec")
            left_out[recording.id] = (
                "the encoding process dies, twice with the whole shard and once with this clip "
                "alone: a library crashes, or memory runs out"
            )
    if 1 < len(work.recordings) == len(left_out):
        return _failed(work, "the encoding process dies at every clip")
    try:
        return attempt(replace(work, left_out=left_out), True)
    except _ProcessDied:
        return _failed(work, "the encoding process dies, but not at any single clip")


def _failed(work: Work, message: str) -> FailedShard:
    text = f"{message}, perhaps from too little memory: give fewer --workers or --batch-seconds"
    return FailedShard(work.number, work.recordings[0].id, text)


_counter = None


def _set_counter(counter) -> None:
    global _counter
    _counter = counter


def _count(clips: int, seconds: float) -> None:
    _counter[0] += clips
    _counter[1] += seconds


def _make(job: Job, work: Work, counted: bool) -> ShardResult | FailedShard:
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(work.threads,)) as pool:
        # after a fork, OpenMP can start several threads only from a new thread
        return pool.submit(cached_encoder(job).make, work, _count if counted else _no_tick).result()


def _no_tick(clips: int, seconds: float) -> None:
    pass


def on_ray(
    job: Job, works: Iterable[Work], tick: Tick, address: str | None
) -> Iterator[ShardResult | FailedShard]:
    """On a Ray cluster, with one process for each GPU, or for each CPU core of its nodes.

    Args:
        address: see `clusters.connected`.
    """
    from audiotok.harness.clusters import connected  # imports the whole harness

    kind = "CPU"
    if job.device.startswith("cuda"):
        kind, job = "GPU", replace(job, device="cuda")  # the GPU that Ray assigns to the task
    with connected(address) as ray:
        yield from _run_on_ray(ray, job, works, kind=kind, tick=tick)


def _run_on_ray(
    ray: Any, job: Job, works: Iterable[Work], *, kind: str, tick: Tick
) -> Iterator[ShardResult | FailedShard]:
    from audiotok.harness.clusters import RETRIES

    task = ray.remote(**{f"num_{kind.lower()}s": 1}, max_retries=RETRIES)(_make_on_ray)
    works, running, lost = iter(works), {}, []

    def attempt(work: Work, again: bool) -> ShardResult | FailedShard:
        return _result(ray, task.remote(job, work))

    try:
        slots = int(ray.cluster_resources().get(kind, 0))
        if slots < 1:
            raise CorpusError(f"the Ray cluster has no {kind}: add nodes to it")
        running = {task.remote(job, work): work for work in islice(works, 2 * slots)}
        while running:
            finished, _ = ray.wait(list(running), num_returns=1)
            work = running.pop(finished[0])
            running |= {task.remote(job, next_work): next_work for next_work in islice(works, 1)}
            try:
                result = _result(ray, finished[0])
            except _ProcessDied:
                lost.append(work)
                continue
            if isinstance(result, ShardResult):
                tick(result.clips + len(result.failures), result.seconds)
            yield result
        for work in lost:
            yield _without_crashing_clips(work, attempt)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _result(ray: Any, reference: Any) -> ShardResult | FailedShard:
    """The result of a task; _ProcessDied if its process or node was lost RETRIES times."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.as_instanceof_cause() from None
    except ray.exceptions.RayError:
        raise _ProcessDied from None


def _make_on_ray(job: Job, work: Work) -> ShardResult | FailedShard:
    if job.device == "cpu":
        torch.set_num_threads(1)
    return cached_encoder(job).make(work, _no_tick)
