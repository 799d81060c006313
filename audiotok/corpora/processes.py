"""Worker processes with one thread each, which end with this process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection

from audiotok.system.processes import worker_start


@contextmanager
def spawning(
    count: int, initializer: Callable | None = None, arguments: tuple = ()
) -> Iterator[ProcessPoolExecutor]:
    """`count` processes; they are stopped at the end of the block.

    Args:
        initializer: called with `arguments` in each of them.
    """
    context = multiprocessing.get_context("spawn")
    child_end, parent_end = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(count, context, _start, (child_end, initializer, arguments))
    try:
        with worker_start():
            for _ in range(count):  # each starts one
                pool.submit(_nothing)
        child_end.close()
        yield pool
    finally:
        parent_end.close()
        pool.shutdown(cancel_futures=True)


def _start(pipe: Connection, initializer: Callable | None, arguments: tuple) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process
    threading.Thread(target=_end_with, args=(pipe,), daemon=True).start()
    import torch

    torch.set_num_threads(1)
    if initializer is not None:
        initializer(*arguments)


def _end_with(pipe: Connection) -> None:
    """Ends this process when the other end of the pipe closes, also by the death of its process."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)


def _nothing() -> None:
    pass
