"""Checks that need a GPU, most important first: codes, settings, speed of all kernels and codecs.

    python benchmarks/gpu.py                    # at most 8 minutes on one GPU
    python benchmarks/gpu.py --nanogpt nanoGPT  # the step of the language model too
    python benchmarks/gpu.py --tiny             # the same code on a CPU in Triton's interpreter

Parts: `codes` runs every Triton path on inputs that are hard to search and counts codes that differ
from the fp64 reference; `settings` does so under TF32, autocast, other streams and in CUDA graphs;
`goals` and `kernels` time the kernels against peers; `codecs` encodes speech, batched, against
upstream clip by clip; `training` and `lm` time a step. After each part, results/speed/gpu.json and
gpu.csv are written, so an interrupted run leaves its results so far. A part that fails is a row
with its error, and the others run. The exit code is 1 if a code differs or a part failed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

if "--tiny" in sys.argv:  # before Triton is imported
    os.environ |= {"TRITON_INTERPRET": "1", "AUDIOTOK_KERNELS": "triton"}

import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parent / "speed"))
import codec_peers
import kernels as timings

import audiotok
from audiotok import data, kernels
from audiotok.codec.batches import prepare
from audiotok.codec.codec import Codec
from audiotok.errors import ResultsError
from audiotok.kernels import reference
from audiotok.results import provenance
from audiotok.sound.audio import Audio, as_audio
from audiotok.system.files import replacing
from audiotok.tasks.speed import hardware

SECONDS = 480  # of all parts
PACKAGES = ("torch", "triton", "encodec", "transformers", "vector-quantize-pytorch", "faiss-gpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, in the interpreter")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--parts", help="only these parts, separated by commas")
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    arguments = parser.parse_args()
    if not arguments.tiny and not torch.cuda.is_available():
        raise SystemExit("no GPU was found: --tiny runs the same code on a CPU")
    device = "cpu" if arguments.tiny else "cuda"
    parts: dict[str, Callable[[], Iterator[dict]]] = {
        "codes": partial(codes, device, arguments.tiny),
        "settings": partial(settings, device, arguments.tiny),
        "goals": partial(goals, device, arguments.tiny),
        "codecs": partial(codecs, device, arguments.tiny),
        "kernels": partial(more_kernels, device, arguments.tiny),
        "training": partial(training, device, arguments.tiny),
        "lm": partial(language_model, device, arguments.nanogpt),
    }
    chosen = arguments.parts.split(",") if arguments.parts else list(parts)
    if unknown := [name for name in chosen if name not in parts]:
        parser.error(f"no part {', '.join(unknown)}: expected some of {', '.join(parts)}")
    begin, rows = time.monotonic(), []
    for name in chosen:
        start = time.monotonic()
        try:
            with torch.no_grad():
                for row in parts[name]():
                    rows.append({"part": name} | row)
                    if time.monotonic() - begin > SECONDS:
                        raise TimeoutError(f"more than {SECONDS} s: the rest is not measured")
        except (Exception, SystemExit) as reason:  # the other parts are worth running
            rows.append({"part": name, "failed": f"{type(reason).__name__}: {reason}"[:500]})
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        write(arguments.out, rows, device)
    table = pd.DataFrame(rows).drop(columns="times_ms", errors="ignore")
    print(table.to_string(index=False))
    raise SystemExit(int(any(row.get("failed") or row.get("wrong") for row in rows)))


def codes(device: str, tiny: bool) -> Iterator[dict]:
    """Codes that differ from the reference, by path and kind of input."""
    widths = (8,) if tiny else (1, 7, 8, 16, 64, 128, 129, 256, 512, 513)
    rows, size = (4, 20) if tiny else (300, 1000)
    kinds = ("ties", "ulps") if tiny else ("plain", "ties", "ulps", "huge", "tiny")
    for width, kind in itertools.product(widths, kinds):
        latents, codebook = hard_inputs(kind, rows, size, width)
        for metric in ("euclidean", "cosine"):
            actual = kernels.vq_argmin(latents.to(device), codebook.to(device), metric).cpu()
            expected = reference.vq_argmin(latents, codebook, metric)
            yield compared("vq_argmin " + metric, f"{kind}, D {width}", actual, expected)
    for width, strides in itertools.product(
        widths[-2:], ((4, 2, 1),) if tiny else (None, (4, 2, 1))
    ):
        latents, first = hard_inputs("ties", rows, size, width)
        codebooks = torch.stack([first, first / 2, first / 4])
        actual = kernels.rvq_encode(latents.to(device), codebooks.to(device), None, strides).cpu()
        expected = reference.rvq_encode(latents, codebooks, 3, strides)
        yield compared("rvq_encode", f"D {width}, strides {strides}", actual, expected)
        step = kernels.RVQStep(codebooks.to(device))
        actual = torch.cat([step(row[None].to(device)).clone().cpu() for row in latents[-20:]])
        expected = reference.rvq_encode(latents[-20:], codebooks, 3, None)
        yield compared("RVQStep", f"D {width}", actual, expected)
        vectors = kernels.rvq_decode(expected.to(device), codebooks.to(device)).cpu()
        yield compared(
            "rvq_decode", f"D {width}", vectors, reference.rvq_decode(expected, codebooks)
        )
    latents = torch.randn(rows, 4) * 2
    for levels in ((8, 5, 5, 5), (2, 3, 4, 7)):
        actual = kernels.fsq_encode(latents.to(device), levels).cpu()
        yield compared("fsq_encode", str(levels), actual, reference.fsq_encode(latents, levels))
    actual = kernels.lfq_encode(latents.to(device)).cpu()
    yield compared("lfq_encode", "D 4", actual, reference.lfq_encode(latents))


def hard_inputs(kind: str, rows: int, size: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents (rows, width) and a codebook (size, width), on the CPU."""
    generator = torch.Generator().manual_seed(width)
    latents = torch.randn(rows, width, generator=generator)
    codebook = torch.randn(size, width, generator=generator)
    if kind == "ties":
        latents, codebook = latents.round(), codebook.round()
        codebook[size // 2 :] = codebook[: size - size // 2]
    if kind == "ulps":
        codebook[size // 2 :] = torch.nextafter(
            codebook[: size - size // 2], torch.tensor(torch.inf)
        )
        latents = (codebook[:rows] + codebook[size - rows :]) / 2  # between two codewords
    scale = {"huge": 1e18, "tiny": 1e-30}.get(kind, 1.0)
    latents, codebook = latents * scale, codebook * scale
    latents[0] = torch.nan
    return latents, codebook


def compared(work: str, case: str, codes: torch.Tensor, expected: torch.Tensor) -> dict:
    same = (codes == expected) | (codes.isnan() & expected.isnan())
    differing = int((~same).sum())
    row = {"work": work, "shape": case, "verified": expected.numel(), "differing": differing}
    return row | {"wrong": differing > 0}


def settings(device: str, tiny: bool) -> Iterator[dict]:
    """The same codes under all settings of PyTorch, on other streams, and in graphs."""
    latents, first = hard_inputs("plain", *((4, 20, 8) if tiny else (500, 1024, 128)))
    codebooks = torch.stack([first, first / 2]).to(device)
    latents = latents[1:].to(device)
    expected = kernels.rvq_encode(latents, codebooks).cpu()
    yield compared(
        "rvq_encode", "defaults", expected, reference.rvq_encode(latents.cpu(), codebooks.cpu())
    )
    search = partial(kernels.rvq_encode, latents, codebooks)
    before = torch.get_float32_matmul_precision()
    for precision in ("medium",) if tiny else ("medium", "high", "highest"):
        torch.set_float32_matmul_precision(precision)
        yield compared("rvq_encode", f"matmul precision {precision}", search().cpu(), expected)
    torch.set_float32_matmul_precision(before)
    for dtype in (torch.bfloat16,) if tiny else (torch.bfloat16, torch.float16):
        with torch.autocast(device, dtype=dtype):
            yield compared("rvq_encode", f"autocast to {dtype}", search().cpu(), expected)
    if device != "cuda":
        return
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        streamed = search()
    stream.synchronize()
    yield compared("rvq_encode", "another stream", streamed.cpu(), expected)
    static = latents[:1].clone()
    step = kernels.RVQStep(codebooks)
    step(static)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step(static)
    replayed = []
    for row in latents[:100]:
        static.copy_(row[None])
        graph.replay()
        replayed.append(captured.clone())
    yield compared("RVQStep", "CUDA graph", torch.cat(replayed).cpu(), expected[:100])
    free = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    kernels.rvq_encode(torch.randn(1_000_000, 128, device=device), codebooks)
    workspace = torch.cuda.max_memory_allocated() - free - 512_000_000 - 16_000_000
    yield {"work": "rvq_encode", "shape": "workspace at N 1,000,000", "mbytes": workspace / 1e6}


def goals(device: str, tiny: bool) -> Iterator[dict]:
    """The cells of the goals, with the time of each peer."""
    if tiny:
        timings.SHAPES["tiny"] = (1, 20, 8)
        yield from timings.search_rows(device, "tiny", 3, 1)
        return
    cells = {(s, n): None for d, work, s, n, *_ in timings.GOALS if (d, work) == (device, "search")}
    for shape, n in cells:
        yield from timings.search_rows(device, shape, n, 5)
    yield from timings.step_rows(device, "Mimi-8", 5)
    yield from timings.update_rows(device, 5)


def more_kernels(device: str, tiny: bool) -> Iterator[dict]:
    """Further shapes of the goals."""
    if tiny:
        return
    for shape, n in (("Mimi-8", 1_000_000), ("DAC-9", 1_000_000), ("EnCodec-8", 750),
                     ("WavTokenizer", 750), ("EnCodec-32", 1_000_000)):  # fmt: skip
        yield from timings.search_rows(device, shape, n, 3)
    yield from timings.step_rows(device, "Mimi-32", 5)
    for shape in ("EnCodec-8", "Mimi-32"):
        yield from timings.decode_rows(device, shape, 1_000_000, 3)
    yield from timings.projected_rows(device, "DAC-9", 10_000, 3)


def codecs(device: str, tiny: bool) -> Iterator[dict]:
    """Seconds of sound per second of encoding: ours in batches, ours and upstream clip by clip."""
    sounds = [as_audio(clip.path) for clip in list(data.load("bundled"))[: 2 if tiny else None]]
    with tempfile.TemporaryDirectory() as folder:
        if not tiny:
            speech = torch.cat([s.to_channels(1).resample(24_000).waveform for s in sounds], 1)
            name = "encodec-24k:codebooks=8"
            file, peers = codec_peers.encodec(name, Path(folder), speech[:, : 30 * 24_000])
            codec = audiotok.load(name, checkpoint=file, device=device)
            yield from codec_rows(codec, peers, sounds, 3)
        codec = audiotok.load("wavtokenizer-mini", device=device)
        yield from codec_rows(codec, {}, sounds, 1 if tiny else 3)


def codec_rows(codec: Codec, peers: dict, sounds: list[Audio], rounds: int) -> Iterator[dict]:
    device, clips = codec.device, [prepare(sound, codec.card) for sound in sounds]

    def encoded(peer: codec_peers.Peer) -> list[torch.Tensor]:
        return [peer.codes(peer.encode(clip.waveform.to(device))) for clip in clips]

    work = {
        "audiotok": lambda: codec.encode_prepared(clips, "ragged"),
        "audiotok clip by clip": lambda: codec.encode_prepared(clips),
    }
    for name, peer in peers.items():
        network = getattr(peer.encode, "__self__", None)  # that of transformers stays on the CPU
        if isinstance(network, torch.nn.Module):
            network.to(device)
            work[name] = partial(encoded, peer)
    together, single = ([tokens.codes for tokens in work[name]()] for name in list(work)[:2])
    changed = sum(int((a != b).sum()) for a, b in zip(together, single, strict=True))
    seconds = sum(sound.duration for sound in sounds)
    for row in timings.timed(work, device.type, rounds):
        yield {
            "device": device.type, "work": "encode", "shape": codec.card.name, "N": len(clips),
            **row, "real_time_factor": seconds / row["ms"] * 1e3,
            "note": f"{changed} codes of batches differ from those clip by clip",
        }  # fmt: skip


def training(device: str, tiny: bool) -> Iterator[dict]:
    """A training step, against the same network with the one-hot quantizer."""
    if not tiny:
        yield script("training.py", "--device", device, "--batch", "8")


def language_model(device: str, nanogpt: Path | None) -> Iterator[dict]:
    """A step of the acoustic language model against nanoGPT's."""
    if nanogpt is None:
        yield {"work": "lm", "note": "not measured: give --nanogpt a checkout of nanoGPT"}
    else:
        yield script("lm.py", "--device", device, "--nanogpt", str(nanogpt), "--rounds", "5")


def script(name: str, *arguments: str) -> dict:
    """Runs a script of benchmarks/speed; the row holds the end of what it prints."""
    path = Path(__file__).parent / "speed" / name
    process = subprocess.run(
        [sys.executable, str(path), *arguments], capture_output=True, text=True, timeout=150
    )
    text = process.stdout if process.returncode == 0 else process.stderr
    failed = None if process.returncode == 0 else f"exit code {process.returncode}"
    return {"work": name, "note": text[-2000:], "failed": failed}


def write(out: Path, rows: list[dict], device: str) -> None:
    """gpu.json with hardware and versions, and gpu.csv; in the tiny form, tiny-gpu."""
    out.mkdir(parents=True, exist_ok=True)
    stem = out / ("gpu" if device == "cuda" else "tiny-gpu")
    table = pd.DataFrame(rows)
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(device),
        "packages": provenance.packages(PACKAGES),
        "git": provenance.git(),
        "rows": json.loads(table.to_json(orient="records")),
    }
    with replacing(f"{stem}.csv", ResultsError) as file:
        file.write(table.drop(columns="times_ms", errors="ignore").to_csv(index=False).encode())
    with replacing(f"{stem}.json", ResultsError) as file:
        file.write(json.dumps(record, indent=1).encode())


if __name__ == "__main__":
    main()
