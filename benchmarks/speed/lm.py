"""Times a step of our language model against nanoGPT's at one size, and generation.

    git clone https://github.com/karpathy/nanoGPT
    python benchmarks/speed/lm.py --nanogpt nanoGPT              # mini size, one thread
    python benchmarks/speed/lm.py --nanogpt nanoGPT --size 124m --device cuda

Both see the same ids, one codebook of 4096 in a plain row, so that the work is the same: layers,
heads and width are equal, without biases and dropout, AdamW with one clipped gradient. nanoGPT ties
embedding and head, and has learned positions in the place of rotary ones. A step is a forward, a
backward and an update; peers take turns in this one process, a time is the median over the rounds.
`utilisation` is 6 x parameters x tokens (embeddings not counted) in a second, relative to the speed
of a large matrix product here. Generation is 100 codes after 20, ours with a cache, nanoGPT's own
without; first, both give a context's loss in the same order of magnitude.

Writes results/speed/lm-DEVICE.csv and .json.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch
from timing import clock, timed
from torch import Tensor, nn

from audiotok.errors import ResultsError
from audiotok.lm import PatternLM, PatternLMConfig
from audiotok.results import provenance
from audiotok.system.files import replacing
from audiotok.tasks.speed import hardware

VOCABULARY = 4096
SIZES = {  # layers, heads, width, context, batch
    "mini": (4, 4, 128, 240, 4),
    "124m": (12, 12, 768, 1024, 12),
}
GOAL = 1.1
PROMPT, NEW = 20, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nanogpt", type=Path, required=True, help="a checkout of nanoGPT")
    parser.add_argument("--size", choices=SIZES, default="mini")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    layers, heads, width, context, batch = SIZES[arguments.size]
    model, nanogpt = models(
        arguments.nanogpt, layers=layers, heads=heads, width=width, context=context
    )
    model, nanogpt = model.to(arguments.device), nanogpt.to(arguments.device)
    ids = torch.randint(0, VOCABULARY, (batch, context + 1), device=arguments.device)
    codes, inputs, targets = ids[:, None, :context], ids[:, :-1], ids[:, 1:].contiguous()
    costs = [loss.item() for loss in (model.loss(codes), nanogpt(inputs, targets)[1])]
    if max(abs(cost - math.log(VOCABULARY)) for cost in costs) > 0.5:
        sys.exit(f"fresh models cost {costs} nats per code, expected {math.log(VOCABULARY):.2f}")
    peak = matrix_products(arguments.device)
    rows = []
    steps = {
        "audiotok": step_of(model, lambda: model.loss(codes), arguments.device),
        "nanoGPT": step_of(nanogpt, lambda: nanogpt(inputs, targets)[1], arguments.device),
    }
    inner = sum(p.numel() for p in model.transformer.parameters()) + VOCABULARY * width
    for row in timed(steps, arguments.device, arguments.rounds):
        rate = batch * context / row["ms"] * 1e3
        rows.append({"work": "training step", "tokens_per_s": rate,
                     "utilisation": 6 * inner * rate / peak} | row)  # fmt: skip
    prompt = ids[:1, :PROMPT]
    model.eval(), nanogpt.eval()
    generation = {
        "audiotok": lambda: model.generate(prompt[:, None], NEW),
        "nanoGPT": lambda: nanogpt.generate(prompt, NEW),
    }
    for row in timed(generation, arguments.device, max(1, arguments.rounds // 3)):
        rows.append({"work": "generation", "tokens_per_s": NEW / row["ms"] * 1e3} | row)
    table = pd.DataFrame(rows).assign(size=arguments.size, device=arguments.device)
    write(arguments, table, peak)
    print(table.drop(columns=["times_ms"]).to_string(index=False))


def models(
    checkout: Path, *, layers: int, heads: int, width: int, context: int
) -> tuple[PatternLM, nn.Module]:
    """Our model and nanoGPT's, of one size."""
    sys.path.insert(0, str(checkout))
    from model import GPT, GPTConfig

    nanogpt = GPT(GPTConfig(block_size=context, vocab_size=VOCABULARY, n_layer=layers, n_head=heads,
                           n_embd=width, dropout=0.0, bias=False))  # fmt: skip
    config = PatternLMConfig(
        codebook_sizes=(VOCABULARY,), pattern="parallel", dimension=width, heads=heads,
        layers=layers,
    )  # fmt: skip
    return PatternLM(config), nanogpt


def step_of(model: nn.Module, loss: Callable[[], Tensor], device: str) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=device != "cpu")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=device != "cpu"):
            value = loss()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def matrix_products(device: str) -> float:
    """FLOP per second of a product of two large matrices, the best of ten."""
    size = 1024 if device == "cpu" else 8192
    kind = torch.float32 if device == "cpu" else torch.bfloat16
    a = torch.randn(size, size, device=device, dtype=kind)
    best = min(clock(lambda: a @ a, device, 3) for _ in range(10))
    return 2 * size**3 / (best * 1e-3)


def write(arguments: argparse.Namespace, table: pd.DataFrame, peak: float) -> None:
    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = arguments.out / f"lm-{arguments.device.split(':')[0]}"
    step = table[(table.work == "training step") & (table.peer == "nanoGPT")]
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(arguments.device),
        "threads": arguments.threads,
        "peak_flops": peak,
        "goal": {"ratio": GOAL, "measured": float(step.ratio.iloc[0])},
        "packages": provenance.packages(("torch",)),
        "git": provenance.git(),
        "rows": json.loads(table.to_json(orient="records")),
    }
    with replacing(f"{stem}.csv", ResultsError) as file:
        file.write(table.drop(columns=["times_ms"]).to_csv(index=False).encode())
    with replacing(f"{stem}.json", ResultsError) as file:
        file.write(json.dumps(record, indent=1).encode())


if __name__ == "__main__":
    main()
