"""Processes that score clips while the codec runs: one thread each; a crash does not stop the run.

Each process prefers clips whose index belongs to it, so that results that a task caches per clip
(such as the transcript of a reference) are reused for the next codec. It takes clips of a busy
process only if none of its own is waiting.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from audiotok.errors import MetricError, ResultsError
from audiotok.system.failures import DIED, Failure, was_transient
from audiotok.system.interrupts import deferred
from audiotok.system.processes import clean_start, take_over, worker_start

if TYPE_CHECKING:
    import numpy as np

    from audiotok.codec.codec import Codec
    from audiotok.data import Clip
    from audiotok.tasks import Item, Task

MAX_ERROR = 1e-4  # relative to the peak: rounding may differ with the number of threads


@dataclass(frozen=True)
class Decoder:
    """What another process needs to load the codec and to decode in the same way."""

    name: str
    checkpoint: str | None
    device: str
    seed: int
    code: str  # `identity.code_sha256` of its class

    @lru_cache(maxsize=1)  # noqa: B019 - in the scoring process, which keeps the last codec
    def load(self) -> Codec:
        from audiotok.codec import registry

        return registry.load(self.name, self.checkpoint, self.device, quiet=True)


@dataclass
class Job:
    """A clip to score; arrays are (C, L) float32."""

    clip: Clip
    reference: tuple[np.ndarray, int] | None
    reconstruction: tuple[np.ndarray, int]
    tokens: bytes | None = None
    seconds: dict[str, Any] = field(default_factory=dict)  # further fields of Item
    observed: dict[str, Any] = field(default_factory=dict)  # task -> observation, or its failure
    tasks: Collection[str] | None = None  # only these; None: all
    decoder: Decoder | None = None  # decodes the tokens once more, as a check


@dataclass
class Score:
    """The values and failures of one clip. A failure has "stage", "message" and "transient", and
    "task" and "column" if only these failed."""

    values: dict[str, float | str] = field(default_factory=dict)
    failures: list[dict[str, Any]] = field(default_factory=list)
    lasting: bool = True  # no failure except MetricError, so that the cache may store it

    @property
    def transient(self) -> bool:
        """Whether some failure is transient."""
        return any(map(was_transient, self.failures))

    def add(self, task: str, values: Mapping[str, float | str | Exception]) -> None:
        """Add the values that a task returned; a number that is not finite is a failure."""
        for column, value in values.items():
            if not isinstance(value, str | Exception) and not math.isfinite(value):
                value = MetricError(f"{column} is {value}, expected a finite number")
            if isinstance(value, Exception):
                self.fail(value, task=task, column=column)
            else:
                self.values[column] = value if isinstance(value, str) else float(value)

    def fail(self, error: BaseException | Failure, **where: str) -> None:
        failure = error if isinstance(error, Failure) else Failure.of(error)
        self.failures.append({"stage": "score"} | where | failure.record)
        self.lasting = self.lasting and isinstance(error, MetricError) and not failure.transient

    def join(self, further: Score) -> None:
        """Add the values and failures of further tasks."""
        self.values |= further.values
        self.failures += further.failures
        self.lasting = self.lasting and further.lasting


@dataclass
class Scored:
    """The result of a job."""

    scores: dict[str, Score] = field(default_factory=dict)  # by task
    failure: Failure | None = None  # why there are no scores, e.g. the process died
    mismatch: str | None = None  # how decoding in the scoring process differs


class Workers:
    """`count` scoring processes with their own copy of `tasks`; use it in a `with`.

    A count of 0 scores in this process, for a debugger.
    """

    def __init__(self, tasks: Sequence[Task], count: int):
        self._tasks, self._count = list(tasks), count
        self._waiting: list[tuple[int, Job]] = []
        self._done: deque[tuple[int, Scored] | ResultsError] = deque()
        self._pending = 0  # jobs submitted and not yet yielded
        self._busy = set(range(count))  # indices of processes that score, or start
        self._closed = False
        self._changed = threading.Condition()
        self._processes: list[_Process] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Workers:
        self._processes = [_Process() for _ in range(self._count)]
        for worker in range(self._count):
            thread = threading.Thread(target=self._serve, args=(worker,), daemon=True)
            self._threads.append(thread)
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for process in self._processes:
            process.terminate()
        for thread in self._threads:
            thread.join(10)
        for process in self._processes:
            process.close()

    def submit(self, index: int, job: Job) -> None:
        """Queue the clip `index` for scoring; waits while the queue holds two clips per process."""
        if not self._count:
            with deferred():
                self._done.append((index, score(self._tasks, job)))
            self._pending += 1
            return
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < 2 * self._count or self._broken())
            self._waiting.append((index, job))
            self._pending += 1
            self._changed.notify_all()

    def finished(self, wait: bool = False) -> Iterator[tuple[int, Scored]]:
        """(index, result) of the finished clips; with `wait`, of all submitted clips."""
        while True:
            with self._changed:
                if wait and self._pending:
                    self._changed.wait_for(lambda: self._done)
                if not self._done:
                    return
                result = self._done.popleft()
            if isinstance(result, ResultsError):
                raise result
            self._pending -= 1
            yield result

    def _broken(self) -> bool:
        return any(isinstance(result, ResultsError) for result in self._done)

    def _serve(self, worker: int) -> None:
        """The thread of one process: sends it one clip after another."""
        try:
            self._processes[worker].begin(self._tasks)
            while (item := self._take(worker)) is not None:
                index, job = item
                self._put((index, self._processes[worker].score(job)))
                if self._processes[worker].dead and not self._closed:
                    self._processes[worker].close()
                    self._processes[worker] = _Process()
                    self._processes[worker].begin(self._tasks)
        except ResultsError as error:
            self._put(error)

    def _put(self, result: tuple[int, Scored] | ResultsError) -> None:
        with self._changed:
            self._done.append(result)
            self._changed.notify_all()

    def _take(self, worker: int) -> tuple[int, Job] | None:
        """The next clip for this process; None after `__exit__`."""

        def eligible(index: int) -> bool:
            owner = index % self._count
            return owner == worker or owner in self._busy

        with self._changed:
            self._busy.discard(worker)
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._closed or any(eligible(i) for i, _ in self._waiting)
            )
            if self._closed:
                return None
            own_jobs = (pair for pair in self._waiting if pair[0] % self._count == worker)
            eligible_jobs = (pair for pair in self._waiting if eligible(pair[0]))
            item = next(own_jobs, None) or next(eligible_jobs)
            self._waiting.remove(item)
            self._busy.add(worker)
            self._changed.notify_all()
            return item


class _Process:
    """A scoring process. If the parent dies, its end of the pipe closes and the child exits."""

    def __init__(self):
        self.dead = False
        context = clean_start()
        try:
            self._pipe, child_end = context.Pipe()
            arguments = child_end, dict(os.environ)
            self._process = context.Process(target=_serve, args=arguments, daemon=True)
            with worker_start():
                self._process.start()
        except OSError as reason:  # too many open files or processes, too little memory
            raise ResultsError(
                f"a process that scores clips cannot start ({reason.strerror or reason}): raise "
                "that limit (ulimit), or give fewer --workers"
            ) from reason
        child_end.close()

    def begin(self, tasks: list[Task]) -> None:
        """Send the tasks, and wait until the process is ready."""
        try:
            self._pipe.send(tasks)
            self._pipe.recv()
        except (EOFError, OSError):
            raise ResultsError(
                f"the processes that score clips cannot start (exit code {self._exit_code()}): see "
                "the text above, or try --workers 1"
            ) from None

    def score(self, job: Job) -> Scored:
        """The result of the job; if the process dies, the result is that failure."""
        try:
            self._pipe.send(job)
            return self._pipe.recv()
        except (EOFError, OSError):
            code = self._exit_code()
            reason = f"signal {-code}, perhaps for memory" if code and code < 0 else f"code {code}"
            return Scored(failure=Failure(f"{DIED} ({reason})", transient=True))
        except Exception as error:  # e.g. an observation of a task that cannot be pickled
            failure = Failure.of(error)
            text = f"the clip did not reach its process ({failure.message})"
            return Scored(failure=Failure(text, failure.transient))

    def _exit_code(self) -> int | None:
        self.dead = True
        self._process.join(10)
        return self._process.exitcode

    def terminate(self) -> None:
        self._process.terminate()

    def close(self) -> None:
        self._process.join(10)
        self._pipe.close()


def _serve(pipe: Connection, environment: Mapping[str, str]) -> None:
    """The scoring process: receives tasks, then jobs until the parent closes the pipe.

    Args:
        environment: variables of the parent, which may have changed since its first process.
    """
    take_over(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows `without_interrupts` does nothing
    import audiotok.tokens.tokens  # noqa: F401 - loads PyTorch, which takes seconds, in advance

    if hasattr(os, "nice"):
        os.nice(10)  # the parent measures the codec's time
    with contextlib.suppress(EOFError, OSError):
        tasks = pipe.recv()
        pipe.send("ready")
        while True:
            pipe.send(score(tasks, pipe.recv()))


def score(tasks: Sequence[Task], job: Job) -> Scored:
    """Run the job's tasks on its clip; an exception of a task is recorded as its failure."""
    import torch

    from audiotok.sound.audio import Audio
    from audiotok.tasks import Item
    from audiotok.tokens.tokens import Tokens

    def audio(array: np.ndarray, sample_rate: int) -> Audio:
        return Audio(torch.from_numpy(array), sample_rate)

    item = Item(
        job.clip,
        None if job.reference is None else audio(*job.reference),
        audio(*job.reconstruction),
        None if job.tokens is None else Tokens.from_bytes(job.tokens),
        **job.seconds,
    )
    scored = Scored()
    if job.decoder is not None:
        scored.mismatch = _decoder_mismatch(job.decoder, item)
        if isinstance(scored.mismatch, Failure):
            return Scored(failure=scored.mismatch)
    for task in tasks:
        if job.tasks is not None and task.name not in job.tasks:
            continue
        result = scored.scores[task.name] = Score()
        observation = job.observed.get(task.name)
        if isinstance(observation, Failure):
            result.fail(observation, task=task.name)
            continue
        try:
            result.add(task.name, task.score(replace(item, observed=observation)))
        except Exception as error:  # the guard around one clip: a metric may raise anything
            result.fail(error, task=task.name)
    return scored


def _decoder_mismatch(decoder: Decoder, item: Item) -> str | Failure | None:
    """Decode the tokens with a new instance of the codec and compare with the reconstruction.

    Returns None if they agree, a text if they differ, a Failure if decoding failed for now. A codec
    that passes sound to its decoder outside the tokens fails here.
    """
    import torch

    from audiotok.results.identity import code_sha256

    try:
        codec = decoder.load()
        if code_sha256(type(codec)) != decoder.code:
            return Failure(f"the code of {decoder.name} changed during the run", transient=True)
        torch.manual_seed(decoder.seed)
        repeated = codec.decode(item.tokens, item.reconstruction.sample_rate).waveform
    except Exception as error:  # a codec may raise anything
        failure = Failure.of(error)
        text = f"it cannot decode its tokens in another process ({failure.message})"
        return Failure(text, transient=True) if failure.transient else text
    reconstruction = item.reconstruction.waveform
    if repeated.shape != reconstruction.shape:
        return "in another process its tokens give a sound of another length"
    error = float((repeated - reconstruction).abs().max()) / max(
        float(reconstruction.abs().max()), 1e-6
    )
    if error > MAX_ERROR:
        return f"in another process its tokens give another sound (by {error:.2g} of its peak)"
    return None
