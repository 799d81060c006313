"""Times whole corpora, from files to codes, against plain loops over the same files.

    python benchmarks/speed/corpus.py --short DIGITS --long LIBRISPEECH
    python benchmarks/speed/corpus.py --short DIGITS --clips 200 --codecs wavtokenizer-mini

`--short` is a corpus of thousands of short files; the clips of `--long` are put together into files
of ten minutes, an hour of them. All peers read and resample, and take turns in this one run:

    audiotok         corpora.encode with its defaults, on all cores: shards on the disk
    audiotok strict  the same clip by clip, so that codes equal those of `codec.encode`
    plain loop       codec.encode(file) for each file, with PyTorch's own threads
    encodec          the loop over the encodec package, on the same weights
    transformers     the loop over transformers' EncodecModel, on the same weights

Wall clock, from the call to the last byte: that of audiotok includes the start of its processes,
while the loops have loaded their network before. A time is the median over the rounds. `differing`
counts codes that differ from those of the plain loop. EnCodec's weights are random, its codebooks
drawn from latents of speech. `peak_mb` is the peak of the unshared memory of this process and its
children together. No GPU is used.

Writes results/speed/corpus-cpu.csv and .json; rows of other codecs that an earlier run wrote there
on the same hardware stay.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import soundfile
import torch
from codec_peers import encodec, speech
from torch import Tensor

import audiotok
from audiotok import corpora, data
from audiotok.codec.batches import prepare
from audiotok.errors import ResultsError
from audiotok.results import provenance
from audiotok.sound.audio import as_audio
from audiotok.system.files import replacing
from audiotok.tasks.speed import hardware

CODECS = ("wavtokenizer-mini", "encodec-24k:codebooks=8")
LONG_FILE = 600  # seconds
MAX_SECONDS = 300  # of all rounds so far: beyond it there is no further round
GOALS = [  # corpus, peer, minimum ratio to the plain loop
    ("short", "audiotok", 2.0),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", type=Path, help="corpus of short files")
    parser.add_argument("--long", type=Path, help="corpus to make long files of")
    parser.add_argument("--clips", type=int, help="number of short files")
    parser.add_argument("--hours", type=float, default=1.0, help="of long files")
    parser.add_argument("--codecs", default=",".join(CODECS), help="some of these")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)  # weight_norm is an old function
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folders = {}
        if arguments.short:
            folders["short"] = first_files(
                arguments.short, arguments.clips, Path(scratch) / "short"
            )
        if arguments.long:
            folders["long"] = long_files(arguments.long, arguments.hours, Path(scratch) / "long")
        for name in arguments.codecs.split(","):
            for label, folder in folders.items():
                rows += measured(
                    name, label, folder, scratch=Path(scratch), rounds=arguments.rounds
                )
    rows = earlier(arguments.out / "corpus-cpu.json", {row["codec"] for row in rows}) + rows
    rows += [{"device": "cuda", "note": "GPU: not measured"}]
    table = pd.DataFrame(rows)
    goals = goal_table(table)
    write(arguments, table, goals)
    print(table.drop(columns=["times_s"]).to_string(index=False))
    print(goals.to_string(index=False))


def first_files(corpus: Path, clips: int | None, folder: Path) -> Path:
    """A folder of links to the first files of a corpus."""
    folder.mkdir()
    for clip in data.load(corpus, clips):
        (folder / f"{clip.id}{clip.path.suffix}").symlink_to(clip.path.absolute())
    return folder


def long_files(corpus: Path, hours: float, folder: Path) -> Path:
    """A folder of long files made of the clips of a corpus, which are repeated if needed."""
    folder.mkdir()
    clips = [clip.read().to_channels(1) for clip in data.load(corpus)]
    rate, number = clips[0].sample_rate, 0
    remaining = int(hours * 3600 * rate)
    while remaining > 0:
        size, pieces, length = min(remaining, LONG_FILE * rate), [], 0
        while length < size:
            pieces.append(clips[number % len(clips)].resample(rate).waveform[0])
            length += len(pieces[-1])
            number += 1
        samples = torch.cat(pieces)[:size].numpy()
        soundfile.write(folder / f"long{remaining:012d}.flac", samples, rate)
        remaining -= size
    return folder


def measured(name: str, label: str, folder: Path, *, scratch: Path, rounds: int) -> Iterator[dict]:
    """A row for each peer on one corpus."""
    file, codec_peers = None, {}
    if name.startswith("encodec"):
        torch.manual_seed(0)
        weights = scratch / "weights"
        weights.mkdir(exist_ok=True)
        with torch.no_grad():
            file, codec_peers = encodec(name, weights, speech())
    codec = audiotok.load(name, checkpoint=file, device="cpu")
    clips = list(data.load(folder))
    seconds = sum(soundfile.info(clip.path).duration for clip in clips)
    out, codes = scratch / "tokens", {}

    def encode_corpus(batch: str | None) -> dict[str, Tensor]:
        shutil.rmtree(out, ignore_errors=True)
        corpora.encode(folder, name, out, checkpoint=file, batch=batch)
        return {clip.id: tokens.codes[0] for clip, tokens in corpora.read(out)}

    def loop(encode: Callable) -> dict[str, Tensor]:
        return {clip.id: encode(clip.path) for clip in clips}

    def encoder_of(peer) -> Callable:
        def encode(path: Path) -> Tensor:
            return peer.codes(peer.encode(prepare(as_audio(path), codec.card).waveform))[0]

        return encode

    peers = {
        "plain loop": lambda: loop(lambda path: codec.encode(path).codes[0]),
        "audiotok": lambda: encode_corpus(None),
        "audiotok strict": lambda: encode_corpus("strict"),
    }
    peers |= {key: lambda peer=peer: loop(encoder_of(peer)) for key, peer in codec_peers.items()}
    codec.encode(clips[0].path)
    times: dict[str, list[float]] = {peer: [] for peer in peers}
    memory: dict[str, float] = {}
    stored = 0
    for _ in range(rounds):
        for peer, body in peers.items():
            with torch.inference_mode(), peak_memory() as peak:
                start = time.perf_counter()
                codes[peer] = body()
                times[peer].append(time.perf_counter() - start)
            memory[peer] = max(memory.get(peer, 0), peak[0])
            if peer == "audiotok":
                stored = sum(path.stat().st_size for path in out.glob("*.parquet"))
        if sum(map(sum, times.values())) > MAX_SECONDS:
            break
    plain = statistics.median(times["plain loop"])
    for peer, values in times.items():
        wall = statistics.median(values)
        differing = sum(
            int((expected != codes[peer][key]).sum())
            for key, expected in codes["plain loop"].items()
        )
        yield {
            "device": "cpu", "codec": name, "corpus": label, "peer": peer, "clips": len(clips),
            "seconds": seconds, "wall_s": wall, "real_time_factor": seconds / wall,
            "ratio": plain / wall, "differing": differing,
            "codes": sum(clip.numel() for clip in codes["plain loop"].values()),
            "bytes_per_hour": stored / seconds * 3600 if peer == "audiotok" else None,
            "peak_mb": memory[peer], "rounds": len(values), "times_s": values,
        }  # fmt: skip


@contextmanager
def peak_memory() -> Iterator[list[float]]:
    """The highest memory of this process and its children during the block, MB, in a list."""
    peak, done = [unshared_memory()], threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            peak[0] = max(peak[0], unshared_memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def unshared_memory() -> float:
    """Resident memory that is shared with no file, of this process and its children, MB."""
    pages = 0
    children = [path.read_text().split() for path in Path("/proc/self/task").glob("*/children")]
    for pid in ["self", *(pid for pids in children for pid in pids)]:
        with suppress(OSError, IndexError):  # it has ended
            _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
            pages += int(resident) - int(shared)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def earlier(path: Path, measured_now: set[str]) -> list[dict]:
    """The rows of other codecs that this machine wrote before."""
    record = json.loads(path.read_bytes()) if path.exists() else {"hardware": None, "rows": []}
    same = record["hardware"] == hardware("cpu")
    return [
        row for row in record["rows"] if same and row["codec"] and row["codec"] not in measured_now
    ]


def goal_table(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for corpus, peer, goal in GOALS:
        for codec in table.codec.dropna().unique():
            key = {"codec": codec, "corpus": corpus, "peer": peer}
            matches = table[(table[list(key)] == pd.Series(key)).all(axis=1)]
            ratio = float(matches.ratio.iloc[0]) if len(matches) else None
            verdict = "not measured" if ratio is None else "reached" if ratio >= goal else "missed"
            rows.append(key | {"goal": goal, "ratio": ratio, "verdict": verdict})
    return pd.DataFrame(rows)


def write(arguments: argparse.Namespace, table: pd.DataFrame, goals: pd.DataFrame) -> None:
    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = arguments.out / "corpus-cpu"
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware("cpu"),
        "cores": len(os.sched_getaffinity(0)),
        "clock": "wall clock",
        "packages": provenance.packages(("torch", "encodec", "transformers", "pyarrow")),
        "git": provenance.git(),
        "goals": json.loads(goals.to_json(orient="records")),
        "rows": json.loads(table.to_json(orient="records")),
    }
    with replacing(f"{stem}.csv", ResultsError) as file:
        file.write(table.drop(columns=["times_s"]).to_csv(index=False).encode())
    with replacing(f"{stem}.json", ResultsError) as file:
        file.write(json.dumps(record, indent=1).encode())


if __name__ == "__main__":
    main()
