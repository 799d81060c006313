"""Measures the time before the first clip is done in a list of very many clips.

    python benchmarks/speed/lists.py --clips 20000     # a quick check
    python benchmarks/speed/lists.py                   # a million clips, about half an hour

A manifest of --clips rows is written, each with a sound file of its own of a tenth of a second
(links to a few files, so that they need little space). `audiotok.corpora.encode` and the harness
start on it, each in a process of its own, with the codec mulaw, whose own work takes no time. A row
of the table has the seconds from the call, imports included, to the first clip that is done, and
the peak of resident memory of the process that holds the list; a plain loop over the rows of the
manifest is the peer, and `times_the_loop` is the time as a multiple of the loop's.

Writes lists-cpu.csv and .json.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from timing import write

LINKS = 20_000  # to one file; file systems allow 65,000
FOLDER = 1000  # files in one folder
RATE = 16_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--start", nargs=2, metavar=("KIND", "MANIFEST"), help="used by itself")
    arguments = parser.parse_args()
    if arguments.start:
        STARTS[arguments.start[0]](arguments.start[1])
        raise SystemExit(f"{arguments.start[0]}: no clip was done")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        manifest = make(Path(folder) / "list", arguments.clips)
        for kind in STARTS:
            start = time.perf_counter()
            process = subprocess.run(
                [sys.executable, __file__, "--start", kind, str(manifest)],
                capture_output=True, text=True, check=False, cwd=folder,
            )  # fmt: skip
            if process.returncode or not process.stdout.strip():
                raise SystemExit(f"{kind} failed: {process.stderr[-2000:]}")
            peak = float(process.stdout.split()[-1])
            row = {"peer": kind, "clips": arguments.clips, "peak_mb": peak}
            rows.append(row | {"first_clip_s": time.perf_counter() - start})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table["times_the_loop"] = table.first_clip_s / table.first_clip_s[0]
    print(table.to_string(index=False))
    write(arguments.out, "lists", table, ("audiotok", "torch", "pandas", "pyarrow"))


def make(folder: Path, clips: int) -> Path:
    """The manifest of `clips` sound files."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    lines = ["audio\ttext\tspeaker"]
    for number in range(clips):
        place = folder / f"{number // FOLDER:05d}"
        path = place / f"{number:07d}.wav"
        if number % FOLDER == 0:
            place.mkdir()
        if number % LINKS == 0:
            soundfile.write(path, rng.normal(0, 0.1, RATE // 10), RATE)
            first = path
        else:
            os.link(first, path)
        lines.append(f"{path.relative_to(folder)}\tsome words\t{number % 1000}")
    manifest = folder / "manifest.tsv"
    manifest.write_text("\n".join([*lines, ""]))
    return manifest


def finish() -> None:
    """Prints the peak of memory in MB, and ends the process."""
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, flush=True)
    os._exit(0)


def loop(manifest: str) -> None:
    """What a user would write: reads the list, loads the codec, encodes the first file."""
    import audiotok

    table = pd.read_csv(manifest, sep="\t")
    codec = audiotok.load("mulaw", quiet=True)
    for name in table.audio:
        codec.encode(Path(manifest).parent / name)
        finish()


def encode(manifest: str) -> None:
    from audiotok import corpora

    class First(corpora.Progress):
        def tick(self, clips: int, seconds: float) -> None:
            finish()

    corpora.encode(manifest, "mulaw", "tokens", workers=0, progress=First())


def bench(manifest: str) -> None:
    from audiotok.harness import harness
    from audiotok.harness.plan import Observer
    from audiotok.harness.settings import BenchSettings

    class First(Observer):
        def progress(self, codec: str, done: int, total: int) -> None:
            if done:
                finish()

    settings = {"tokenizer": ["mulaw"], "data": manifest, "tasks": ["tokens"], "baselines": False}
    harness.run(BenchSettings(**settings, out="results", workers=1), First())


STARTS = {"plain loop": loop, "encode": encode, "bench": bench}

if __name__ == "__main__":
    main()
