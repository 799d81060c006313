"""One long sound in several threads: its windows at the same time, or the layers as a pipeline.

Each thread runs PyTorch with one thread of its own, which wastes less than one operation in several
threads: small layers and recurrences do not gain from these. The arithmetic of a window or a piece
does not depend on the number of threads, and neither do the codes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import torch
from torch import Tensor

Step = Callable[[Tensor, bool], Tensor]  # (B, ..., N), and whether it is the last piece


def mapped(function: Callable, items: Iterable, threads: int) -> Iterator:
    """`function` of each item, in order; at most `threads` + 1 items wait in memory."""
    if threads == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from _in_order((pool.submit(function, item) for item in items), threads)


def pipelined(
    steps: Sequence[Step], pieces: Iterable[tuple[Tensor, bool]], threads: int
) -> Iterator[Tensor]:
    """What comes out of the steps for each piece: each thread runs a part of the steps.

    Args:
        steps: applied one after another; they may have a state, so a step gets its pieces in order.
    """
    if threads == 1:
        for piece, last in pieces:
            yield _through(steps, piece, last)
        return
    pieces = iter(pieces)
    seconds: list[float] = []
    for piece, last in pieces:  # the first one shows how long each step takes
        for step in steps:
            begin = time.perf_counter()
            piece = step(piece, last)
            seconds.append(time.perf_counter() - begin)
        yield piece
        break
    else:
        return
    with ExitStack() as stack:
        stages = [
            (
                stack.enter_context(
                    ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
                ),
                stage,
            )
            for stage in _balanced(steps, seconds, threads)
        ]
        yield from _in_order((_started(stages, *piece) for piece in pieces), threads)


def _started(stages: Sequence, piece: Tensor, last: bool) -> Future:
    """The output of the last stage. A stage has one thread, so pieces stay in order."""
    coming: Future = Future()
    coming.set_result(piece)
    for pool, steps in stages:
        coming = pool.submit(
            lambda before, steps: _through(steps, before.result(), last), coming, steps
        )
    return coming


def _through(steps: Sequence[Step], piece: Tensor, last: bool) -> Tensor:
    for step in steps:
        piece = step(piece, last)
    return piece


def _balanced(steps: Sequence[Step], seconds: Sequence[float], parts: int) -> list[list[Step]]:
    """Splits the steps, in order, into at most `parts` parts of about equal time."""
    stages: list[list[Step]] = [[] for _ in range(parts)]
    total, before = sum(seconds) or 1.0, 0.0
    for step, duration in zip(steps, seconds, strict=True):
        stages[min(int((before + duration / 2) / total * parts), parts - 1)].append(step)
        before += duration
    return [stage for stage in stages if stage]


def _in_order(futures: Iterable[Future], threads: int) -> Iterator:
    waiting: deque[Future] = deque()
    for future in futures:
        waiting.append(future)
        if len(waiting) > threads:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
