"""Worker processes with one thread each, which end with this process.

A forked process shares libraries and networks with its parent and starts in a tenth of a second,
while a clean process (`clean_start`) takes seconds. It has only the thread that forked it, and a
lock that another thread held is never released in it. So processes are forked only while no other
thread of Python runs, except those of `concurrent.futures` that serve earlier processes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from audiotok.system.memory import keep_memory
from audiotok.system.processes import clean_start, take_over, worker_start


def can_fork() -> bool:
    """Whether this process can be forked: on Linux, if it has no other thread of Python."""
    return sys.platform == "linux" and threading.active_count() == 1


@contextmanager
def starting(
    count: int,
    initializer: Callable | None = None,
    arguments: tuple = (),
    forked: bool = False,
) -> Iterator[ProcessPoolExecutor]:
    """`count` processes; they are stopped at the end of the block.

    Args:
        initializer: called with `arguments` in each of them.
        forked: whether they are forked from this process, see `can_fork`.
    """
    context = multiprocessing.get_context("fork") if forked else clean_start()
    pool = ProcessPoolExecutor(count, context, _start, (dict(os.environ), initializer, arguments))
    earlier = multiprocessing.active_children()
    started: list = []
    try:
        with worker_start(), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads of OpenMP
            for _ in range(count):  # each call starts a process
                pool.submit(_no_op)
        started = [p for p in multiprocessing.active_children() if p not in earlier]
        yield pool
    finally:
        for process in started:
            process.terminate()
        pool.shutdown(cancel_futures=True)


def _start(environment: Mapping[str, str], initializer: Callable | None, arguments: tuple) -> None:
    take_over(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_memory()
    import torch

    torch.set_num_threads(1)
    if initializer is not None:
        initializer(*arguments)


def _end_with_parent() -> None:
    """Ends this process when the one that started it has ended."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
    os._exit(1)


def _no_op() -> None:
    pass
