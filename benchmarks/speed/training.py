"""Times a training step of WavTokenizer with our quantizer and with that of the package `encodec`.

    python benchmarks/speed/training.py                   # the 75 tokens per second of the paper
    python benchmarks/speed/training.py --batch 4 --seconds 1
    python benchmarks/speed/training.py --device cuda --batch 40

Two networks of the same weights, in this one process, taking turns: one with `VectorQuantizer`
and `MovingAverageLearner`, one with `encodec.quantization.core_vq.VectorQuantization`, which
learns by a one-hot matrix. A step is forward, mel loss and commitment, backward, clipping, AdamW,
and the update of the codebook; discriminators and data would be the same for both and are left out.
A time is the median over the rounds: process time in one thread on the CPU, wall time with more
of them or on a GPU. The quantizers alone are timed too, forward, backward and learning: their
share of the step limits the gain of a faster one; `most` is the ratio with a quantizer that takes
no time.

Writes results/speed/training-DEVICE.csv and .json.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch
from encodec.quantization.core_vq import VectorQuantization
from torch import Tensor, nn

from audiotok.errors import ResultsError
from audiotok.nn.losses import LogMelLoss
from audiotok.nn.quantizers import MovingAverageLearner
from audiotok.nn.wavtokenizer import WavTokenizerConfig, WavTokenizerNetwork
from audiotok.results import provenance
from audiotok.system.files import replacing
from audiotok.tasks.speed import hardware

GOAL = 1.3
STRIDES = {75: (2, 4, 5, 8), 40: (4, 5, 5, 6)}


class OneHot(nn.Module):
    """The quantizer of `encodec` with the interface of ours."""

    def __init__(self, codebook: Tensor):
        super().__init__()
        size, width = codebook.shape
        self.inner = VectorQuantization(dim=width, codebook_size=size, kmeans_init=False)
        learned = self.inner._codebook
        learned.embed.copy_(codebook)
        learned.embed_avg.copy_(codebook)
        learned.cluster_size.fill_(4.0)  # so that no code is replaced during the measurement
        learned.embed_avg.mul_(4.0)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quantized, codes, loss = self.inner(latents)
        return quantized, codes[:, None], loss.squeeze()


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    network = WavTokenizerNetwork(WavTokenizerConfig(strides=STRIDES[arguments.rate]))
    samples = round(arguments.seconds * 24000)
    waveform = 0.1 * torch.randn(arguments.batch, 1, samples)
    latents = start_codebook(network, waveform)
    peer = copy.deepcopy(network)
    peer.quantizer = OneHot(network.quantizer.codebook)
    learner = MovingAverageLearner(network.quantizer)
    learner.adopt(4 * len(network.quantizer.codebook))
    device = torch.device(arguments.device)
    waveform, latents = waveform.to(device), latents.to(device)
    for module in (network, peer, learner):
        module.to(device).train()
    loss = LogMelLoss(24000).to(device)
    steps = {
        "audiotok": step_of(network, loss, waveform, learner.update),
        "encodec": step_of(peer, loss, waveform, lambda *_: None),
    }
    quantizers = {
        "audiotok": quantize_alone(network.quantizer, latents, learner.update),
        "encodec": quantize_alone(peer.quantizer, latents, lambda *_: None),
    }
    table = timed(steps, quantizers, arguments)
    print(table.to_string(index=False))
    write(arguments, table)


@torch.no_grad()
def start_codebook(network: WavTokenizerNetwork, waveform: Tensor) -> Tensor:
    """Codewords near the latents, as k-means leaves them; the latents."""
    latents = network.encoder(waveform)
    rows = latents.transpose(1, 2).flatten(0, 1)
    chosen = rows[torch.randint(len(rows), (len(network.quantizer.codebook),))]
    network.quantizer.codebook.copy_(chosen + 0.1 * rows.std() * torch.randn_like(chosen))
    return latents


def step_of(
    network: WavTokenizerNetwork, loss: LogMelLoss, waveform: Tensor, learn: Callable
) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-6)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        latents = network.encoder(waveform)
        quantized, codes, commitment = network.quantizer(latents)
        sound = network.head(network.backbone(quantized))[:, 0, : waveform.shape[-1]]
        (45 * loss(waveform[:, 0], sound) + commitment).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        learn(latents.detach(), codes)

    return step


def quantize_alone(quantizer: nn.Module, latents: Tensor, learn: Callable) -> Callable[[], None]:
    latents = latents.clone().requires_grad_()
    gradient = torch.ones_like(latents)

    def step() -> None:
        quantized, codes, commitment = quantizer(latents)
        torch.autograd.backward([quantized, commitment], [gradient, torch.ones_like(commitment)])
        latents.grad = None
        learn(latents.detach(), codes)

    return step


def timed(steps: dict, quantizers: dict, arguments: argparse.Namespace) -> pd.DataFrame:
    """A row for each, medians in milliseconds."""
    times: dict[tuple[str, str], list[float]] = {}
    for round_ in range(arguments.rounds + 1):
        for kind, works in (("step", steps), ("quantizer", quantizers)):
            for peer, work in works.items():
                milliseconds = clock(work, arguments)
                if round_:  # the first is a warm-up
                    times.setdefault((kind, peer), []).append(milliseconds)
    medians = {key: statistics.median(values) for key, values in times.items()}
    rows = []
    for (kind, peer), median in medians.items():
        step, quantizer = medians["step", "encodec"], medians["quantizer", "encodec"]
        rows.append(
            {
                "device": arguments.device,
                "work": kind,
                "peer": peer,
                "ms": median,
                "ratio": median / medians[kind, "audiotok"],
                "share": medians["quantizer", peer] / medians["step", peer],
                "most": step / (step - quantizer) if kind == "step" else None,
            }
        )
    return pd.DataFrame(rows)


def clock(work: Callable[[], None], arguments: argparse.Namespace) -> float:
    """Milliseconds of one call."""
    one_thread = arguments.device == "cpu" and arguments.threads == 1
    now = time.process_time if one_thread else time.perf_counter
    if arguments.device != "cpu":
        torch.cuda.synchronize()
    start = now()
    work()
    if arguments.device != "cpu":
        torch.cuda.synchronize()
    return 1e3 * (now() - start)


def write(arguments: argparse.Namespace, table: pd.DataFrame) -> None:
    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = arguments.out / f"training-{arguments.device}"
    ratio = float(table[(table.work == "step") & (table.peer == "encodec")].ratio.iloc[0])
    goal = {"goal": GOAL, "ratio": ratio, "verdict": "reached" if ratio >= GOAL else "missed"}
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(arguments.device),
        "rate": arguments.rate,
        "batch": arguments.batch,
        "seconds": arguments.seconds,
        "rounds": arguments.rounds,
        "packages": provenance.packages(("torch", "numpy", "encodec")),
        "git": provenance.git(),
        "command": provenance.command(),
        "goal": goal,
        "rows": json.loads(table.to_json(orient="records")),
    }
    with replacing(f"{stem}.csv", ResultsError) as file:
        file.write(table.to_csv(index=False).encode())
    with replacing(f"{stem}.json", ResultsError) as file:
        file.write(json.dumps(record, indent=1).encode())
    print(f"step: {ratio:.3f} times as fast, goal {GOAL}: {goal['verdict']}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=int, choices=sorted(STRIDES), default=75)
    parser.add_argument("--batch", type=int, default=1, help="crops")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each crop")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
