"""Connect to a Ray cluster, and score clips on it; Ray schedules the tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from audiotok.errors import CorpusError, MissingPackageError
from audiotok.harness.workers import Job, Scored, score
from audiotok.sound.containers import ALLOW_TRUNCATED, truncation_allowed
from audiotok.system.failures import LOST, Failure, describe
from audiotok.system.processes import ENVIRONMENT

if TYPE_CHECKING:
    from audiotok.tasks import Task

RETRIES = 3  # of a clip whose process or node died


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """The package ray, connected to a cluster inside the block.

    Args:
        address: of the cluster, e.g. "ray://head:10001" or "auto"; None: this machine alone, or
            the cluster that this process is connected to.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingPackageError("ray", "ray", "--executor ray") from error
    started = not ray.is_initialized()
    if started:
        try:
            variables = {ALLOW_TRUNCATED: "1"} if truncation_allowed() else {}
            runtime = {"env_vars": variables} if variables else None
            ray.init(address=address, log_to_driver=False, runtime_env=runtime)
        except ConnectionError as reason:
            text = " ".join(str(reason).split())[:200]
            raise CorpusError(f"no Ray cluster answers at {address}: {text}") from None
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


class RayWorkers:
    """Scores clips on a cluster, one Ray task per clip; same methods as `workers.Workers`.

    If a process or node is lost, its clip is scored on another, up to RETRIES times. Every node
    needs audiotok and the sound files at the same paths.
    """

    def __init__(self, tasks: Sequence[Task], address: str | None):
        self._tasks, self._address = list(tasks), address
        self._running: dict[Any, int] = {}  # Ray's reference of a running task -> index of the clip
        self._done: deque[tuple[int, Scored]] = deque()

    def __enter__(self) -> RayWorkers:
        self._connection = connected(self._address)
        self._ray = self._connection.__enter__()
        self._slots = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._task_reference = self._ray.put(self._tasks)
        remote = self._ray.remote(
            num_cpus=1, max_retries=RETRIES, runtime_env={"env_vars": ENVIRONMENT}
        )
        self._score = remote(_score)
        return self

    def __exit__(self, *exception: object) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._connection.__exit__(*exception)

    def submit(self, index: int, job: Job) -> None:
        """Queue the clip `index` for scoring; waits while the queue holds two clips per core."""
        while len(self._running) >= 2 * self._slots:
            self._collect()
        self._running[self._score.remote(self._task_reference, job)] = index

    def finished(self, wait: bool = False) -> Iterator[tuple[int, Scored]]:
        """(index, result) of the finished clips; with `wait`, of all submitted clips."""
        self._collect(0)
        while self._done or (wait and self._running):
            if not self._done:
                self._collect()
                continue
            yield self._done.popleft()

    def _collect(self, seconds: float | None = None) -> None:
        """Collect finished tasks; wait up to `seconds` for one."""
        if not self._running:
            return
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        for reference in ready:
            index = self._running.pop(reference)
            try:
                result = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                result = Scored(failure=Failure(f"{LOST} ({describe(error)})", transient=True))
            self._done.append((index, result))


def _score(tasks: Sequence[Task], job: Job) -> Scored:
    """The Ray task: runs in a process of Ray."""
    import torch

    torch.set_num_threads(1)
    return score(tasks, job)
