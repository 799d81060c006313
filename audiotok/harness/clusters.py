"""Ray clusters: connecting to one, and scoring clips on one. The scheduling is Ray's."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from audiotok.errors import CorpusError, MissingPackageError
from audiotok.harness.workers import ENVIRONMENT, Job, Scored, score
from audiotok.system.failures import LOST, Failure, describe

if TYPE_CHECKING:
    from audiotok.tasks import Task

RETRIES = 3  # of a clip whose process died, be it with its node


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """The package ray, connected in the block.

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
            ray.init(address=address, log_to_driver=False)
        except ConnectionError as reason:
            text = " ".join(str(reason).split())[:200]
            raise CorpusError(f"no Ray cluster answers at {address}: {text}") from None
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


class RayWorkers:
    """Scoring on a cluster, with the methods of `workers.Workers`: a Ray task for each clip.

    A clip whose process or node was lost is scored elsewhere, RETRIES times. Every node must have
    audiotok installed and see the sounds under the same path.
    """

    def __init__(self, tasks: Sequence[Task], address: str | None):
        self._tasks, self._address = list(tasks), address
        self._running: dict[Any, int] = {}  # what Ray works on -> index of the clip
        self._done: deque[tuple[int, Scored]] = deque()

    def __enter__(self) -> RayWorkers:
        self._connection = connected(self._address)
        self._ray = self._connection.__enter__()
        self._slots = max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._handed = self._ray.put(self._tasks)
        remote = self._ray.remote(
            num_cpus=1, max_retries=RETRIES, runtime_env={"env_vars": ENVIRONMENT}
        )
        self._score = remote(_score)
        return self

    def __exit__(self, *about: object) -> None:
        for reference in self._running:
            self._ray.cancel(reference, force=True)
        self._connection.__exit__(*about)

    def submit(self, index: int, job: Job) -> None:
        """Lets the clip `index` be scored; waits while two for each core are waiting already."""
        while len(self._running) >= 2 * self._slots:
            self._collect()
        self._running[self._score.remote(self._handed, job)] = index

    def finished(self, wait: bool = False) -> Iterator[tuple[int, Scored]]:
        """(index, what came of it) of the clips that are done; with `wait`, of all submitted."""
        self._collect(0)
        while self._done or (wait and self._running):
            if not self._done:
                self._collect()
                continue
            yield self._done.popleft()

    def _collect(self, seconds: float | None = None) -> None:
        """Takes what is done, waiting for one at most so long."""
        if not self._running:
            return
        ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=seconds)
        for reference in ready:
            index = self._running.pop(reference)
            try:
                found = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                found = Scored(failure=Failure(f"{LOST} ({describe(error)})", transient=True))
            self._done.append((index, found))


def _score(tasks: Sequence[Task], job: Job) -> Scored:
    """In the process that Ray gives."""
    import torch

    torch.set_num_threads(1)
    return score(tasks, job)
