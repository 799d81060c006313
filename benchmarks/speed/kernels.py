"""Times audiotok's kernels against common alternatives, after checking them with the reference.

    python benchmarks/speed/kernels.py --quick            # the shapes of the goals, a minute
    python benchmarks/speed/kernels.py                    # all shapes
    python benchmarks/speed/kernels.py --device cuda

All peers run in this one process on the same tensors, taking turns; a time is the median over the
rounds. On the CPU it is process time in one thread (--threads changes that), on a GPU it is
between CUDA events. Rows of every search are compared with the fp64 reference first; `differing`
counts those that are not equal. Latents and codebooks are normal random numbers, later codebooks
smaller, as residuals are. A row with " projected" in its shape is DAC's whole quantizer, its
projections from 1,024 to 8 dimensions and back at each stage included; the others are the search
alone. A peer that would take longer than a minute for one call is left out.

Writes results/speed/kernels-DEVICE.csv, .json and -roofline.png. Rows with a note were not
measured.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch
from peers import (
    decode_by_embedding,
    projected_quantizers,
    searches,
    update_by_index_add,
    update_by_one_hot,
)
from timing import MAX_SECONDS, clock, timed
from torch import Tensor

import audiotok.kernels as kernels
from audiotok.errors import ResultsError
from audiotok.kernels import cpu, dispatch, reference
from audiotok.results import provenance
from audiotok.system.files import replacing
from audiotok.tasks.speed import hardware

SHAPES = {  # (K, V, D)
    "WavTokenizer": (1, 4096, 512),
    "EnCodec-8": (8, 1024, 128),
    "EnCodec-32": (32, 1024, 128),
    "Mimi-8": (8, 2048, 256),
    "Mimi-32": (32, 2048, 256),
    "DAC-1": (1, 1024, 8),
    "DAC-9": (9, 1024, 8),
    "DAC-12": (12, 1024, 8),
}
ROWS = [1, 750, 10_000, 1_000_000]
QUICK = [("EnCodec-8", 1), ("EnCodec-8", 750), ("EnCodec-8", 10_000), ("DAC-1", 100_000)]
QUICK += [("WavTokenizer", 750), ("Mimi-8", 1)]
PROJECTED = [("DAC-9", 750), ("DAC-9", 10_000), ("DAC-12", 750), ("DAC-12", 10_000)]
UPDATE = (9_000, 1024, 128)  # N, V, D
VERIFIED_ROWS = 400
MAX_BYTES = {"cpu": 6e9, "cuda": 4e10}  # of the scores of a peer
BYTES_PER_SCORE = {"torch.cdist": 8, "addmm": 8, "addmm TF32": 8, "encodec": 16}
BYTES_PER_SCORE["vector-quantize-pytorch"] = 40
GOALS = [  # device, work, shape, N, peer, minimum ratio
    ("cpu", "search", "EnCodec-8", 10_000, "encodec", 4),
    ("cpu", "search", "EnCodec-8", 750, "encodec", 2),
    ("cpu", "search", "EnCodec-8", 1, "encodec", 4),
    ("cpu", "search", "DAC-1", 100_000, "torch.cdist", 10),
    ("cpu", "search", "DAC-1", 100_000, "FAISS (CPU)", 1),
    ("cpu", "update", "EnCodec-8", 9_000, "one-hot", 50),
    ("cuda", "search", "WavTokenizer", 1_000_000, "addmm", 5),
    ("cuda", "search", "EnCodec-8", 1_000_000, "encodec", 10),
    ("cuda", "search", "EnCodec-8", 1_000_000, "addmm", 6),
    ("cuda", "step", "Mimi-8", 1, "addmm", 10),
    ("cuda", "step", "Mimi-8", 1, "addmm, graphed", 3),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--quick", action="store_true", help="only the shapes of the goals")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="on the CPU")
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no GPU was found: run without --device cuda")
    with torch.no_grad():
        rows = list(measured(arguments.device, arguments.quick, arguments.rounds))
    if arguments.device == "cpu":
        rows += [
            {"device": "GPU", "work": work, "shape": shape, "N": n, "note": "GPU: not measured"}
            for device, work, shape, n, _, _ in GOALS
            if device == "cuda"
        ]
    table = pd.DataFrame(rows)
    goals = goal_table(table, arguments.device)
    write(arguments, table, goals)
    print(table.drop(columns=["times_ms"]).to_string(index=False))
    print(goals.to_string(index=False))


def measured(device: str, quick: bool, rounds: int) -> Iterator[dict]:
    """A row for each work, shape, number of rows and peer."""
    cells = QUICK + [
        (shape, n) for n in ROWS for shape in SHAPES if not quick and (shape, n) not in QUICK
    ]
    for number, (shape, n) in enumerate(cells, 1):
        print(f"{number}/{len(cells)} {shape}, N {n:,}", file=sys.stderr, flush=True)
        yield from search_rows(device, shape, n, rounds)
    for shape, n in PROJECTED[:1] if quick else PROJECTED:
        yield from projected_rows(device, shape, n, rounds)
    for shape in ["EnCodec-8"] if quick else ["EnCodec-8", "Mimi-32"]:
        yield from decode_rows(device, shape, 10_000, rounds)
    yield from update_rows(device, rounds)
    yield from step_rows(device, "Mimi-8", rounds)


def search_rows(device: str, shape: str, n: int, rounds: int) -> Iterator[dict]:
    stages, size, width = SHAPES[shape]
    flops = 2.0 * n * stages * size * width
    cell = {"device": device, "work": "search", "shape": shape, "N": n}
    codebooks = make_codebooks(stages, size, width, device)
    latents = torch.randn(n, width, device=device)
    candidates = {"audiotok": lambda x: kernels.rvq_encode(x, codebooks), **searches(codebooks)}
    if device == "cpu":
        candidates["audiotok in PyTorch"] = lambda x: forced("torch", x, codebooks)
    for name, search in list(candidates.items()):
        if reason := too_big(name, search, latents, size=size, device=device):
            del candidates[name]
            yield cell | {"peer": name, "note": f"not measured: {reason}"}
    if "audiotok" not in candidates:
        return
    expected = exact_codes(latents[:VERIFIED_ROWS].cpu(), codebooks.cpu())
    differing = {
        name: int((search(latents)[:VERIFIED_ROWS].cpu() != expected).any(dim=1).sum())
        for name, search in candidates.items()
    }
    if differing["audiotok"]:
        raise SystemExit(f"{shape}, N {n}: {differing['audiotok']} rows differ from the reference")
    # minimum traffic: latents and codebooks once, codes once
    traffic = 4.0 * (n * width + stages * size * width) + 8.0 * n * stages
    work = {name: lambda search=search: search(latents) for name, search in candidates.items()}
    for row in timed(work, device, rounds):
        checked = {"differing": differing[row["peer"]], "verified": len(expected)}
        yield cell | row | checked | {"gflop": flops / 1e9, "mbytes": traffic / 1e6}


def too_big(name: str, search: Callable, latents: Tensor, *, size: int, device: str) -> str | None:
    """The reason why a peer is not measured on these latents, or None."""
    size_of_scores = BYTES_PER_SCORE.get(name, 0) * len(latents) * size
    if size_of_scores > MAX_BYTES[device]:
        return f"{size_of_scores / 2**30:.0f} GiB of scores"
    part = latents[:1000]
    search(part)
    seconds = clock(lambda: search(part), device, 1) * len(latents) / len(part) / 1e3
    return f"about {seconds:.0f} s a call" if seconds > MAX_SECONDS else None


def projected_rows(device: str, shape: str, n: int, rounds: int) -> Iterator[dict]:
    """DAC's quantizer with its projections, on latents (1, 1024, N)."""
    stages, size, width = SHAPES[shape]
    quantizers = projected_quantizers(stages, size, width, device)
    latents = torch.randn(1, 1024, n, device=device)
    codes = {name: quantize(latents) for name, quantize in quantizers.items()}
    unequal = {
        name: int((peer_codes != codes["audiotok"]).any(dim=1).sum())
        for name, peer_codes in codes.items()
    }
    cell = {"device": device, "work": "search", "shape": f"{shape} projected", "N": n}
    work = {name: lambda body=body: body(latents) for name, body in quantizers.items()}
    for row in timed(work, device, rounds):
        note = "" if row["peer"] == "audiotok" else f"{unequal[row['peer']]} frames unlike ours"
        yield cell | row | {"note": note}


def decode_rows(device: str, shape: str, n: int, rounds: int) -> Iterator[dict]:
    codebooks = make_codebooks(*SHAPES[shape], device)
    codes = torch.randint(0, SHAPES[shape][1], (n, SHAPES[shape][0]), device=device)
    work = {
        "audiotok": lambda: kernels.rvq_decode(codes, codebooks),
        "embedding and add": lambda: decode_by_embedding(codes, codebooks),
    }
    same = torch.equal(work["audiotok"](), work["embedding and add"]())
    cell = {"device": device, "work": "decode", "shape": shape, "N": n, "verified": n}
    for row in timed(work, device, rounds):
        yield cell | row | {"differing": 0 if same else None}


def update_rows(device: str, rounds: int) -> Iterator[dict]:
    n, size, width = UPDATE
    latents = torch.randn(n, width, device=device)
    codebook = torch.randn(size, width, device=device)
    codes = kernels.vq_argmin(latents, codebook)
    updates = {
        "audiotok": kernels.ema_update,
        "one-hot": update_by_one_hot,
        "index_add": update_by_index_add,
    }
    results = []
    for update in [kernels.ema_update, kernels.ema_update, update_by_one_hot]:
        state = codebook.clone(), torch.ones(size, device=device), codebook.clone()
        update(*state, latents, codes, 0.99)
        results.append(state[0])
    if not torch.equal(results[0], results[1]) or not torch.allclose(*results[1:], atol=1e-5):
        raise SystemExit("the EMA update does not repeat bitwise, or differs from one-hot")
    states = {
        name: (codebook.clone(), torch.ones(size, device=device), codebook.clone())
        for name in updates
    }
    work = {
        name: lambda name=name: updates[name](*states[name], latents, codes, 0.99)
        for name in updates
    }
    for row in timed(work, device, rounds):
        yield {"device": device, "work": "update", "shape": "EnCodec-8", "N": n, **row}


def step_rows(device: str, shape: str, rounds: int) -> Iterator[dict]:
    """One frame of a stream; on a GPU also in a CUDA graph."""
    codebooks = make_codebooks(*SHAPES[shape], device)
    latents = torch.randn(1, codebooks.shape[2], device=device)
    step = kernels.RVQStep(codebooks)
    peers = searches(codebooks)
    work = {"audiotok": lambda: step(latents)}
    work |= {name: lambda name=name: peers[name](latents) for name in ("addmm", "torch.cdist")}
    if device == "cuda":
        work |= {f"{name}, graphed": graphed(work[name]) for name in list(work)}
    for row in timed(work, device, rounds):
        yield {"device": device, "work": "step", "shape": shape, "N": 1, **row}


def graphed(body: Callable) -> Callable:
    body()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()
    return graph.replay


def make_codebooks(stages: int, size: int, width: int, device: str) -> Tensor:
    scales = 0.8 ** torch.arange(stages)
    return (torch.randn(stages, size, width) * scales[:, None, None]).to(device)


def exact_codes(latents: Tensor, codebooks: Tensor) -> Tensor:
    """`reference.rvq_encode`, many rows at once by the same fp64 distances."""
    codes, residual = [], latents.clone()
    for codebook in codebooks:
        distances = [
            reference.squared_distances(rows[:, None], codebook) for rows in residual.split(100)
        ]
        codes.append(torch.cat(distances).min(dim=1).indices)
        residual = residual - codebook[codes[-1]]
    assert torch.equal(  # the vectorised form is the plain one
        torch.stack(codes, dim=1)[:3], reference.rvq_encode(latents[:3], codebooks)
    )
    return torch.stack(codes, dim=1)


def forced(path: str, latents: Tensor, codebooks: Tensor) -> Tensor:
    return dispatch._module(path).rvq_encode(latents, codebooks, len(codebooks), None)


def goal_table(table: pd.DataFrame, device: str) -> pd.DataFrame:
    rows = []
    for where, work, shape, n, peer, goal in GOALS:
        key = {"device": where, "work": work, "shape": shape, "N": n, "peer": peer}
        matches = table[(table[list(key)] == pd.Series(key)).all(axis=1)]
        ratio = float(matches.ratio.iloc[0]) if len(matches) else None
        verdict = "GPU: not measured" if where == "cuda" and device == "cpu" else "not measured"
        if ratio is not None:
            verdict = "reached" if ratio >= goal else "missed"
        rows.append(key | {"goal": goal, "ratio": ratio, "verdict": verdict})
    return pd.DataFrame(rows)


def write(arguments: argparse.Namespace, table: pd.DataFrame, goals: pd.DataFrame) -> None:
    from roofline import ceilings, draw

    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = arguments.out / f"kernels-{arguments.device}"
    names = ("torch", "numpy", "encodec", "vector-quantize-pytorch", "faiss-cpu", "triton")
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(arguments.device),
        "instruction_sets": cpu.isas(),
        "clock": "process time" if arguments.device == "cpu" else "CUDA events",
        "rounds": arguments.rounds,
        "packages": provenance.packages(names),
        "git": provenance.git(),
        "command": provenance.command(),
        "ceilings": ceilings(arguments.device),
    }
    record = about | {
        "goals": json.loads(goals.to_json(orient="records")),
        "rows": json.loads(table.to_json(orient="records")),
    }
    with replacing(f"{stem}.csv", ResultsError) as file:
        file.write(table.drop(columns=["times_ms"]).to_csv(index=False).encode())
    with replacing(f"{stem}.json", ResultsError) as file:
        file.write(json.dumps(record, indent=1).encode())
    with replacing(f"{stem}-roofline.png", ResultsError) as file:
        draw(file, table, about)


if __name__ == "__main__":
    main()
