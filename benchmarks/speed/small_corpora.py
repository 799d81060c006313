"""Times `audiotok encode` on small and uneven corpora against the loop that a user would write.

    python benchmarks/speed/small_corpora.py --out results/speed
    python benchmarks/speed/small_corpora.py --codecs wavtokenizer-mini --cases "one short,ten"

Both are whole processes, from their start to their end: the loop imports audiotok, loads the codec,
and calls codec.encode(file) for each file, with PyTorch's own threads. They take turns; a time is
the median of wall clock over the rounds. `cpu_s` is the processor time of all processes, which
can also be compared on a busy machine. Codecs without weights here get random ones.

Writes small-corpora-cpu.csv and .json.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
from codec_peers import dac, encodec, speech
from timing import write

from audiotok import corpora

CASES = {  # seconds of each file
    "one short": [3.0],
    "ten": [1.5] * 10,
    "120 short": list(np.linspace(1.0, 2.0, 120)),
    "six long": [120.0] * 6,
    "one long": [360.0],
    "mix": [240.0, 60.0, *np.linspace(1.0, 15.0, 30)],
    "thousands": list(np.linspace(0.3, 0.8, 3000)),
}
GOALS = {"six long": 1.2, "thousands": 2.0}  # times the loop; the others: 1.0
CODECS = (
    "wavtokenizer-mini",
    "encodec-24k:codebooks=8",
    "dac-24k:codebooks=8",
    "lm-spt-mini",
    "lyra-v2",
)
RATE = 24_000
LOOP = """
import pathlib, sys, torch, audiotok
codec = audiotok.load(sys.argv[1], checkpoint=sys.argv[2] or None, device="cpu", quiet=True)
files = sorted(pathlib.Path(sys.argv[3]).iterdir())
torch.save({path.stem: codec.encode(path).codes for path in files}, sys.argv[4])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codecs", default=";".join(CODECS), help="separated by semicolons")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        sound = speech(RATE)
        for case in arguments.cases.split(","):
            make(Path(scratch) / case, CASES[case], sound[0].numpy())
        for name in arguments.codecs.split(";"):
            try:
                weights = weights_of(name, Path(scratch), sound)
                for case in arguments.cases.split(","):
                    rows += measured(
                        name, weights, case, scratch=Path(scratch), rounds=arguments.rounds
                    )
            except Exception as reason:  # missing weights: the other codecs are measured
                rows.append({"codec": name, "note": f"not measured: {reason}"[:200]})
            write(arguments.out, "small-corpora", pd.DataFrame(rows), ("torch", "pyarrow"))
    print(pd.DataFrame(rows).to_string(index=False))


def make(folder: Path, lengths: list[float], sound: np.ndarray) -> None:
    """Files of these lengths, in seconds, each cut from another place."""
    folder.mkdir()
    for number, seconds in enumerate(lengths):
        size = int(seconds * RATE)
        samples = np.resize(np.roll(sound, -7919 * number), size)
        soundfile.write(folder / f"{number:04d}.wav", samples, RATE)


def weights_of(name: str, scratch: Path, sound: torch.Tensor) -> str:
    """A file of random weights for codecs without weights here; "": the codec's own."""
    family = {"encodec": encodec, "dac": dac}.get(name.partition("-")[0])
    if family is None:
        return ""
    folder = scratch / f"weights {name.partition(':')[0]}"
    folder.mkdir()
    torch.manual_seed(0)
    with torch.no_grad():
        return str(family(name, folder, sound)[0])


def measured(name: str, weights: str, case: str, *, scratch: Path, rounds: int) -> Iterator[dict]:
    folder, tokens, codes = scratch / case, scratch / "tokens", scratch / "codes.pt"
    commands = {
        "plain loop": [sys.executable, "-c", LOOP, name, weights, str(folder), str(codes)],
        "audiotok": [
            sys.executable, "-m", "audiotok", "encode", str(folder), "-t", name, "-o", str(tokens),
            "--device", "cpu",
            *(["--checkpoint", weights] if weights else []),
        ],
    }  # fmt: skip
    wall: dict[str, list[float]] = {peer: [] for peer in commands}
    cpu: dict[str, list[float]] = {peer: [] for peer in commands}
    for _ in range(rounds):
        for peer, command in commands.items():
            shutil.rmtree(tokens, ignore_errors=True)
            before, start = processor_seconds(), time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            wall[peer].append(time.perf_counter() - start)
            cpu[peer].append(processor_seconds() - before)
    expected = torch.load(codes, weights_only=True)
    differing = sum(
        int((clip_tokens.codes != expected[clip.id]).sum())
        for clip, clip_tokens in corpora.read(tokens)
    )
    loop = statistics.median(wall["plain loop"])
    for peer, times in wall.items():
        ratio = loop / statistics.median(times)
        yield {
            "codec": name, "case": case, "peer": peer, "files": len(expected),
            "seconds": sum(CASES[case]), "wall_s": statistics.median(times),
            "cpu_s": statistics.median(cpu[peer]), "ratio": ratio,
            "goal": GOALS.get(case, 1.0) if peer == "audiotok" else None,
            "differing": differing if peer == "audiotok" else 0, "cores": os.cpu_count(),
        }  # fmt: skip


def processor_seconds() -> float:
    """User and system time of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
