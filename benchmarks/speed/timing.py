"""Timing of peers that take turns in one process, and writing of the results."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from audiotok.errors import ResultsError
from audiotok.results import provenance
from audiotok.system.files import replacing
from audiotok.tasks.speed import hardware

MAX_SECONDS = 60  # of one call: slower peers are left out; about the limit of all rounds


def timed(work: dict[str, Callable], device: str, rounds: int) -> Iterator[dict]:
    """Median ms of each, taking turns; short ones are repeated to fill 5 ms, and there are fewer
    rounds where one is slow."""
    first, repeats = {}, {}
    for name, body in work.items():
        body()
        first[name] = clock(body, device, 1)
        repeats[name] = max(1, min(200, int(5 / max(first[name], 1e-3))))
    rounds = max(1, min(rounds, int(MAX_SECONDS * 1e3 / max(sum(first.values()), 1e-3))))
    times = {name: [] for name in work}
    for _ in range(rounds):
        for name, body in work.items():
            times[name].append(clock(body, device, repeats[name]))
    reference = statistics.median(times["audiotok"])
    for name, values in times.items():
        median = statistics.median(values)
        yield {"peer": name, "ms": median, "ratio": median / reference, "times_ms": values}


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


def write(out: Path, name: str, table: pd.DataFrame, packages: tuple[str, ...]) -> None:
    """Write NAME-cpu.csv, and with date, hardware, versions and commit NAME-cpu.json."""
    out.mkdir(parents=True, exist_ok=True)
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware("cpu"),
        "packages": provenance.packages(packages),
        "git": provenance.git(),
        "rows": json.loads(table.to_json(orient="records")),
    }
    with replacing(out / f"{name}-cpu.csv", ResultsError) as file:
        file.write(table.to_csv(index=False).encode())
    with replacing(out / f"{name}-cpu.json", ResultsError) as file:
        file.write(json.dumps(record, indent=1).encode())
