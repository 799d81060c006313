"""Processes that score clips beside the codec: one thread each, and none can stop the run.

A clip always goes to the process of its index, so that what a task caches per clip (the text of a
reference) is found again for the next codec.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from audiotok.errors import AudiotokError, MetricError, ResultsError

if TYPE_CHECKING:
    import numpy as np

    from audiotok.data import Clip
    from audiotok.tasks import Task

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
ENVIRONMENT = dict.fromkeys(_THREADS, "1") | {"PYTHONWARNINGS": "ignore"}


@dataclass
class Job:
    """A clip to score; arrays are (C, L) float32."""

    clip: Clip
    reference: tuple[np.ndarray, int]
    reconstruction: tuple[np.ndarray, int]
    tokens: bytes | None = None
    seconds: dict[str, Any] = field(default_factory=dict)  # further fields of Item
    observed: dict[str, Any] = field(default_factory=dict)  # task -> what it saw, or its failure


@dataclass
class Score:
    """What the tasks made of a clip; failures are {"stage", "message"} and perhaps "task"
    and "column", where only these failed."""

    values: dict[str, float | str] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Failure:
    """A task could not observe a clip."""

    message: str


class Workers:
    """`count` scoring processes with their own copy of `tasks`; use it in a `with`.

    A count of 0 scores in this process, for a debugger.
    """

    def __init__(self, tasks: Sequence[Task], count: int):
        self._tasks = list(tasks)
        self._kind = _Worker if count else _Here
        self._count = count or 1
        self._workers: list[_Worker | _Here] = []

    def __enter__(self) -> Workers:
        self._workers = [self._kind(self._tasks) for _ in range(self._count)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()

    def submit(self, index: int, job: Job) -> None:
        """Starts scoring the clip `index`; waits while its process is busy.

        Collect what is finished with `finished` first: a process holds one clip at a time.
        """
        worker = self._workers[index % self._count]
        if worker.index is not None:
            raise ResultsError(f"clip {worker.index} was not collected before clip {index}")
        worker.send(index, job)

    def finished(self, wait_for: int | None = None) -> Iterator[tuple[int, Score]]:
        """(index, score) of the clips that are done.

        Args:
            wait_for: wait until the process that scores the clip of this index is free.
        """
        for place, worker in enumerate(self._workers):
            wait = wait_for is not None and place == wait_for % self._count
            if worker.index is not None and (wait or worker.ready()):
                index = worker.index
                score = worker.receive()
                if worker.dead:
                    self._workers[place] = _Worker(self._tasks)
                yield index, score

    def rest(self) -> Iterator[tuple[int, Score]]:
        """All that is still under way."""
        for place in range(self._count):
            yield from self.finished(wait_for=place)


class _Worker:
    """One process; its end of the pipe closes when this process dies, and then it ends."""

    def __init__(self, tasks: list[Task]):
        self.index: int | None = None
        self.dead = self._started = False
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with no_main_module(), environment(ENVIRONMENT):
            self._process.start()
        theirs.close()
        with contextlib.suppress(OSError):  # a death at once is noticed in receive
            self._pipe.send(tasks)

    def send(self, index: int, job: Job) -> None:
        self.index = index
        with contextlib.suppress(OSError):
            self._pipe.send(job)

    def ready(self) -> bool:
        return self._pipe.poll()

    def receive(self) -> Score:
        """The score of the clip that was sent; if the process died, a failure that says so."""
        self.index = None
        try:
            if not self._started:
                self._pipe.recv()
                self._started = True
            return self._pipe.recv()
        except (EOFError, OSError):
            self.dead = True
            self.stop()
            code = self._process.exitcode
            if not self._started:
                raise ResultsError(
                    f"the processes that score clips cannot start (exit code {code}): see the text "
                    "above, or try --workers 1"
                ) from None
            why = f"signal {-code}, perhaps for memory" if code and code < 0 else f"code {code}"
            failure = {"stage": "score", "message": f"the scoring process died ({why})"}
            return Score({}, [failure])

    def stop(self) -> None:
        self._pipe.close()
        if not self.dead:
            self._process.terminate()
        self._process.join(10)


class _Here:
    """What _Worker does, in this process."""

    dead = False

    def __init__(self, tasks: list[Task]):
        self.index: int | None = None
        self._tasks = tasks

    def send(self, index: int, job: Job) -> None:
        self.index, self._score = index, score(self._tasks, job)

    def ready(self) -> bool:
        return True

    def receive(self) -> Score:
        self.index = None
        return self._score

    def stop(self) -> None:
        """Nothing to stop."""


def _serve(pipe: Connection) -> None:
    """The scoring process: tasks, then job after job until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process
    if hasattr(os, "nice"):
        os.nice(10)  # the codec is timed beside
    with contextlib.suppress(EOFError, OSError):
        tasks = pipe.recv()
        pipe.send("ready")
        while True:
            pipe.send(score(tasks, pipe.recv()))


def score(tasks: Sequence[Task], job: Job) -> Score:
    """All tasks on one clip; whatever one of them raises is recorded as its failure."""
    import torch

    from audiotok.audio import Audio
    from audiotok.tasks import Item
    from audiotok.tokens import Tokens

    def audio(array: np.ndarray, sample_rate: int) -> Audio:
        return Audio(torch.from_numpy(array), sample_rate)

    item = Item(
        job.clip,
        audio(*job.reference),
        audio(*job.reconstruction),
        None if job.tokens is None else Tokens.from_bytes(job.tokens),
        **job.seconds,
    )
    result = Score()
    for task in tasks:
        about = {"stage": "score", "task": task.name}
        seen = job.observed.get(task.name)
        if isinstance(seen, Failure):
            result.failures.append(about | {"message": seen.message})
            continue
        try:
            values = task.score(replace(item, observed=seen))
        except Exception as error:  # the guard around one clip: a metric may raise anything
            result.failures.append(about | {"message": describe(error)})
            continue
        for column, value in values.items():
            if not isinstance(value, str | Exception) and not math.isfinite(value):
                value = MetricError(f"{column} is {value}, expected a finite number")
            if isinstance(value, Exception):
                result.failures.append(about | {"column": column, "message": describe(value)})
            else:
                result.values[column] = value if isinstance(value, str) else float(value)
    return result


def describe(error: BaseException) -> str:
    """One line: our own messages as they are, others with their type."""
    text = " ".join(str(error).split())[:500]
    return text if isinstance(error, AudiotokError) else f"{type(error).__name__}: {text}"


@contextlib.contextmanager
def no_main_module() -> Iterator[None]:
    """Hides __main__ from spawn, which would run a script without a main guard again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Sets environment variables for the processes started inside."""
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
