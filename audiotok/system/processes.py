"""Child processes: how they are started, and what they inherit."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
ENVIRONMENT = dict.fromkeys(_THREADS, "1") | {
    "PYTHONWARNINGS": "ignore",
    # oneDNN caches 1024 compiled operations, one for each length of sound: up to 1 GB of memory
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
}


def can_start_processes() -> bool:
    """Whether this process may start others; a worker of `multiprocessing.Pool` may not."""
    return not multiprocessing.current_process().daemon


def clean_start() -> SpawnContext | ForkServerContext:
    """Starts processes that inherit nothing from this one: no thread, no GPU, no loaded codec.

    On Linux they are forks of a server process that has imported PyTorch once, which takes seconds;
    elsewhere each is a new Python (spawn).
    """
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["audiotok.tokens.tokens"])
    return context


def take_over(environment: Mapping[str, str]) -> None:
    """Sets the variables of the process that started this one; called first in this one.

    The server of `clean_start` has those that were there when it began.
    """
    os.environ.clear()
    os.environ.update({**environment, **ENVIRONMENT})


@contextmanager
def worker_start() -> Iterator[None]:
    """Processes started in the block use one thread, do not run __main__ again, and ignore
    Ctrl-C."""
    with _no_main_module(), _environment(ENVIRONMENT), _without_interrupts():
        yield


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Blocks SIGINT, so that only the main process handles Ctrl-C and ends the others."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _no_main_module() -> Iterator[None]:
    """Hides __main__: a new process would otherwise run a script without a main guard again."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
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
