"""Times the harness scoring PESQ, STOI and ESTOI against the packages pesq and pystoi, one by one.

    python benchmarks/speed/harness.py --clips 8 --seconds 3 --rounds 1    # a quick check
    python benchmarks/speed/harness.py

Clips of equal length are cut from the bundled corpus and go through mu-law at 8 kHz. The packages
get the same pairs as arrays in memory; the harness reads files, encodes, writes and re-reads
tokens, decodes, scores in processes, and writes its journal, rows and summary, with no cache. Both
take turns in this one run; a time is the median over the rounds, wall clock. `start` is the first
codec of a run, whose processes have to start (they import PyTorch); `next` is any other codec.
`own` is serial too, with the metrics of this package instead of the packages. Scores are checked to
be equal, PESQ exactly and STOI to 1e-4. A share is (serial / harness) / cores, 1 at best.

Writes results/speed/harness-cpu.csv and .json. Close other programs: all cores are used.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
from pesq import pesq
from pystoi import stoi

import audiotok
from audiotok import data, metrics
from audiotok.data import Corpus
from audiotok.errors import ResultsError
from audiotok.harness.cache import Cache
from audiotok.harness.plan import Observer, Setting, Subject, available_cores
from audiotok.harness.runner import Runner
from audiotok.harness.settings import BenchSettings
from audiotok.harness.suite import load_suite
from audiotok.results import provenance
from audiotok.sound.audio import Audio, as_audio
from audiotok.system.files import replacing
from audiotok.tasks.reconstruction import Reconstruction
from audiotok.tasks.speed import hardware

GOAL = 0.85
CODEC, RATE, METRICS = "mulaw", 16_000, ("pesq", "stoi")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each clip")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    times: dict[str, list[float]] = {"pesq+pystoi": [], "own": [], "start": [], "next": []}
    with tempfile.TemporaryDirectory() as folder:
        corpus = cut(Path(folder) / "clips", arguments.clips, arguments.seconds)
        codec = audiotok.load(CODEC, device="cpu")
        pairs = [(a := as_audio(clip.path), codec.reconstruct(a)) for clip in corpus]
        for number in range(arguments.rounds):
            times["pesq+pystoi"] += [timed(lambda: [packages(*pair) for pair in pairs])]
            times["own"] += [timed(lambda: [own_metrics(*pair) for pair in pairs])]
            place = Path(folder) / str(number)
            started, following, rows = scored(corpus, codec, place, arguments.workers)
            times["start"] += [started]
            times["next"] += [following]
            compare(rows, pairs)
            print({name: round(values[-1], 2) for name, values in times.items()}, flush=True)
    write(arguments, table(times, arguments.workers), times)


def cut(folder: Path, count: int, seconds: float) -> Corpus:
    """`count` clips of that length, each from another part of the speech of the bundled corpus."""
    folder.mkdir(parents=True)
    clips = [as_audio(clip.path) for clip in data.load("bundled")]
    speech = torch.cat([c.to_channels(1).resample(RATE).waveform[0] for c in clips]).numpy()
    length = round(seconds * RATE)
    for number in range(count):
        start = number * (len(speech) - length) // count
        soundfile.write(folder / f"{number:04d}.wav", speech[start : start + length], RATE)
    return data.load(folder)


def packages(reference: Audio, reconstruction: Audio) -> tuple[float, float, float]:
    a, b = (audio.waveform[0].numpy() for audio in (reference, reconstruction))
    return pesq(RATE, a, b, "wb"), stoi(a, b, RATE), stoi(a, b, RATE, extended=True)


def own_metrics(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    return metrics.compute(METRICS, reference=reference, reconstruction=reconstruction)


def scored(
    corpus: Corpus, codec: audiotok.Codec, out: Path, workers: int
) -> tuple[float, float, pd.DataFrame]:
    """Seconds of the first and of the next codec of a run, and the rows of the first."""
    task = Reconstruction(METRICS)
    task.prepare(corpus)
    fields = {"suite": load_suite("smoke"), "corpus": corpus, "limit": None, "tasks": [task]}
    fields |= {"not_measured": {}, "workers": workers, "observer": Observer()}
    bench_settings = BenchSettings(tokenizer=codec.card.name, workers=workers, out=out)
    settings = [
        Setting(settings=bench_settings, folder=out / place, **fields)
        for place in ("first", "next")
    ]
    with ExitStack() as stack:
        runner = Runner(settings[0], Cache(out / "cache", 0, print), stack)
        results, seconds = [], []
        for setting in settings:
            body = lambda s=setting: results.append(runner.result(Subject(s, codec), wait=False))  # noqa: E731
            seconds.append(timed(body))
    return *seconds, results[0].rows


def timed(body: Callable) -> float:
    start = time.perf_counter()
    body()
    return time.perf_counter() - start


def compare(rows: pd.DataFrame, pairs: list[tuple[Audio, Audio]]) -> None:
    """Checks that the scores of the harness equal those of the packages, on some clips."""
    for index in range(0, len(pairs), max(1, len(pairs) // 10)):
        expected, scores = packages(*pairs[index]), rows.loc[index, ["pesq", "stoi", "estoi"]]
        errors = np.abs(np.array(expected) - scores.to_numpy(dtype=float))
        if errors[0] != 0 or errors.max() > 1e-4:
            raise SystemExit(f"clip {index}: the harness scored {list(scores)}, not {expected}")


def table(times: dict[str, list[float]], cores: int) -> pd.DataFrame:
    medians = {name: statistics.median(values) for name, values in times.items()}
    rows = []
    for run in "start", "next":
        for serial in "pesq+pystoi", "own":
            ratio = medians[serial] / medians[run]
            row = {"harness": run, "serial": serial, "harness_s": medians[run]}
            row |= {"serial_s": medians[serial], "ratio": ratio, "share": ratio / cores}
            rows.append(row)
    return pd.DataFrame(rows)


def write(arguments: argparse.Namespace, rows: pd.DataFrame, times: dict[str, list[float]]) -> None:
    arguments.out.mkdir(parents=True, exist_ok=True)
    share = float(rows.share[0])  # start-up included, against the packages
    goal = {"share": share, "goal": GOAL, "verdict": "reached" if share >= GOAL else "missed"}
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware("cpu"),
        "cores": arguments.workers,
        "clips": arguments.clips,
        "seconds_each": arguments.seconds,
        "codec": CODEC,
        "packages": provenance.packages(("torch", "numpy", "scipy", "pesq", "pystoi")),
        "git": provenance.git(),
        "command": provenance.command(),
        "goal": goal,
        "times_s": times,
        "rows": json.loads(rows.to_json(orient="records")),
    }
    stem = arguments.out / "harness-cpu"
    with replacing(f"{stem}.csv", ResultsError) as file:
        file.write(rows.to_csv(index=False).encode())
    with replacing(f"{stem}.json", ResultsError) as file:
        file.write(json.dumps(record, indent=1).encode())
    print(rows.to_string(index=False), goal, sep="\n")


if __name__ == "__main__":
    main()
