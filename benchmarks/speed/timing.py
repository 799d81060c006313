"""Times of peers that take turns in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator

import torch

MOST_SECONDS = 60  # of one call: beyond it a peer is left out; of all rounds of a cell, about


def timed(work: dict[str, Callable], device: str, rounds: int) -> Iterator[dict]:
    """Median ms of each, taking turns; short ones are repeated until 5 ms are full, and there are
    fewer rounds where one lasts long."""
    first, repeats = {}, {}
    for name, body in work.items():
        body()
        first[name] = clock(body, device, 1)
        repeats[name] = max(1, min(200, int(5 / max(first[name], 1e-3))))
    rounds = max(1, min(rounds, int(MOST_SECONDS * 1e3 / max(sum(first.values()), 1e-3))))
    times = {name: [] for name in work}
    for _ in range(rounds):
        for name, body in work.items():
            times[name].append(clock(body, device, repeats[name]))
    ours = statistics.median(times["audiotok"])
    for name, values in times.items():
        median = statistics.median(values)
        yield {"peer": name, "ms": median, "ratio": median / ours, "times_ms": values}


def clock(body: Callable, device: str, repeats: int) -> float:
    """Milliseconds of one call."""
    if device == "cpu":
        now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        start = now()
        for _ in range(repeats):
            body()
        return (now() - start) * 1e3 / repeats
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    events[0].record()
    for _ in range(repeats):
        body()
    events[1].record()
    torch.cuda.synchronize()
    return events[0].elapsed_time(events[1]) / repeats
