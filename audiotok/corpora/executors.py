"""Who makes the shards: this process, processes of this machine, or a Ray cluster.

Each is a generator of what was made, in the order in which it is finished. The clusters' scheduling
is Ray's: a shard is a task, and what was lost with a node Ray runs again elsewhere.
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

from audiotok.corpora.encoder import Encoder, Job, Made, Tick, Unmade, Work, kept
from audiotok.corpora.processes import spawning
from audiotok.errors import CorpusError
from audiotok.harness.clusters import RETRIES, connected

_LOOK = 0.5  # seconds between two looks at what processes have done


def here(job: Job, works: Iterable[Work], tick: Tick) -> Iterator[Made | Unmade]:
    """In this process, for a debugger."""
    encoder = Encoder(job)
    try:
        for work in works:
            yield encoder.make(work, tick)
    finally:
        encoder.close()


def local(job: Job, works: Iterable[Work], tick: Tick, count: int) -> Iterator[Made | Unmade]:
    """In `count` processes of this machine. One that dies costs its shard a second try, a clip that
    ends its process alone too is left out: see `_surviving`."""
    works, seen = iter(works), [0.0, 0.0]
    with ThreadPoolExecutor(count) as threads, ExitStack() as stack:
        processes = [stack.enter_context(_Process(job)) for _ in range(count)]
        running = {
            threads.submit(process.make, work): process
            for process, work in zip(processes, works, strict=False)
        }
        while running:
            finished, _ = wait(running, _LOOK, FIRST_COMPLETED)
            done = [sum(process.done[place] for process in processes) for place in (0, 1)]
            tick(int(done[0] - seen[0]), done[1] - seen[1])
            seen = done
            for future in finished:
                process = running.pop(future)
                if (work := next(works, None)) is not None:
                    running[threads.submit(process.make, work)] = process
                yield future.result()


class _Process:
    """One process that encodes; when it dies, another takes its place.

    Attributes:
        done: clips, and seconds of sound, that it is done with.
    """

    def __init__(self, job: Job):
        self.done = multiprocessing.get_context("spawn").RawArray("d", 2)  # it alone writes
        self._job, self._closed = job, False
        self._lock = threading.Lock()
        self._stack = ExitStack()

    def __enter__(self) -> _Process:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            self._stack.close()

    def make(self, work: Work) -> Made | Unmade:
        """The shard of `work`; runs in a thread of its own."""
        return _surviving(work, self._try)

    def _try(self, work: Work, again: bool) -> Made | Unmade:
        try:
            return self._pool.submit(_make, self._job, work, not again).result()
        except BrokenProcessPool:
            with self._lock:
                if not self._closed:
                    self._stack.close()
                    self._start()
            raise _Died from None

    def _start(self) -> None:
        with _STARTING:  # the environment of this process is changed meanwhile
            self._pool = self._stack.enter_context(spawning(1, _set_counter, (self.done,)))


_STARTING = threading.Lock()


class _Died(Exception):
    """The process that made a shard died."""


def _surviving(work: Work, attempt: Callable[[Work, bool], Made | Unmade]) -> Made | Unmade:
    """The shard of `work`, whose clips may end the process that encodes them.

    It is tried twice. Then each of its clips is encoded alone, and those that end the process again
    are left out and named.

    Args:
        attempt: makes the shard, not for the first time where its second argument is true; raises
            _Died where the process died.
    """
    for again in (False, True):
        with suppress(_Died):
            return attempt(work, again)
    left_out = {}
    for recording in [None, *work.recordings]:
        try:
            attempt(replace(work, recordings=[] if recording is None else [recording]), True)
        except _Died:
            if recording is None:
                return _unmade(work, "the process that encodes dies while it loads the codec")
            left_out[recording.id] = (
                "the process that encodes it dies, twice with its shard and once alone: a "
                "library crashes, or memory runs out"
            )
    if 1 < len(work.recordings) == len(left_out):
        return _unmade(work, "the process that encodes dies at every clip")
    try:
        return attempt(replace(work, left_out=left_out), True)
    except _Died:
        return _unmade(work, "the process that encodes dies, though at none of the clips alone")


def _unmade(work: Work, message: str) -> Unmade:
    text = f"{message}, perhaps for memory: give fewer --workers or --batch-seconds"
    return Unmade(work.number, work.recordings[0].id, text)


_counter = None


def _set_counter(counter) -> None:
    global _counter
    _counter = counter


def _count(clips: int, seconds: float) -> None:
    _counter[0] += clips
    _counter[1] += seconds


def _make(job: Job, work: Work, counted: bool) -> Made | Unmade:
    return kept(job).make(work, _count if counted else _nothing)


def _nothing(clips: int, seconds: float) -> None:
    pass


def on_ray(
    job: Job, works: Iterable[Work], tick: Tick, address: str | None
) -> Iterator[Made | Unmade]:
    """On a Ray cluster, a process for each GPU or, without, for each core of its nodes.

    Args:
        address: see `clusters.connected`.
    """
    kind = "CPU"
    if job.device.startswith("cuda"):
        kind, job = "GPU", replace(job, device="cuda")  # the one that Ray gives to the task
    with connected(address) as ray:
        yield from _made_by(ray, kind, job, works, tick)


def _made_by(
    ray: Any, kind: str, job: Job, works: Iterable[Work], tick: Tick
) -> Iterator[Made | Unmade]:
    task = ray.remote(**{f"num_{kind.lower()}s": 1}, max_retries=RETRIES)(_make_on_ray)
    works, running, died = iter(works), {}, []

    def attempt(work: Work, again: bool) -> Made | Unmade:
        return _result(ray, task.remote(job, work))

    try:
        slots = int(ray.cluster_resources().get(kind, 0))
        if slots < 1:
            raise CorpusError(f"the Ray cluster has no {kind}: add nodes to it")
        running = {task.remote(job, work): work for work in islice(works, 2 * slots)}
        while running:
            finished, _ = ray.wait(list(running), num_returns=1)
            work = running.pop(finished[0])
            running |= {task.remote(job, more): more for more in islice(works, 1)}
            try:
                made = _result(ray, finished[0])
            except _Died:
                died.append(work)
                continue
            if isinstance(made, Made):
                tick(made.clips + len(made.failures), made.seconds)
            yield made
        for work in died:
            yield _surviving(work, attempt)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _result(ray: Any, reference: Any) -> Made | Unmade:
    """What a task gave; _Died where its process or node was lost, RETRIES times."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.as_instanceof_cause() from None
    except ray.exceptions.RayError:
        raise _Died from None


def _make_on_ray(job: Job, work: Work) -> Made | Unmade:
    import torch

    if job.device == "cpu":
        torch.set_num_threads(1)
    return kept(job).make(work, _nothing)
