"""One long sound in several threads: its windows, or its pieces in a pipeline through the layers.

Each thread runs PyTorch with one thread of its own, which wastes less than one operation in several
threads: small layers and recurrences do not gain from these. The arithmetic of a window or a piece
does not depend on the number of threads, and neither do the codes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

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
    """What comes out of the steps for each piece. A thread takes a piece through all steps, close
    behind the thread that has the piece before.

    Args:
        steps: applied one after another; they may have a state, so a step gets its pieces in order.
    """
    turns = [_Turn() for _ in steps]

    def through(numbered: tuple[int, tuple[Tensor, bool]]) -> Tensor:
        number, (piece, last) = numbered
        try:
            for step, turn in zip(steps, turns, strict=True):
                turn.wait(number)
                piece = step(piece, last)
                turn.end(number)
        except BaseException:  # the later pieces must not wait forever for this one
            for turn in turns:
                turn.wait(number)
                turn.end(number)
            raise
        return piece

    yield from mapped(through, enumerate(pieces), threads)


class _Turn:
    """Lets the numbers 0, 1, 2 ... pass one after another, whichever thread has them."""

    def __init__(self) -> None:
        self._changed, self._number = threading.Condition(), 0

    def wait(self, number: int) -> None:
        """Until all smaller numbers have ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._number >= number)

    def end(self, number: int) -> None:
        with self._changed:
            self._number = max(self._number, number + 1)
            self._changed.notify_all()


def _in_order(futures: Iterable[Future], threads: int) -> Iterator:
    waiting: deque[Future] = deque()
    for future in futures:
        waiting.append(future)
        if len(waiting) > threads:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
