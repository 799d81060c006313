"""Times ResGen's sampling at several depths of the codec, which need equally many forwards.

    python benchmarks/speed/resgen.py                   # the size of recipes/tts/resgen-mini.yaml

Random weights and codebooks of Lyra v2's shape (16 codewords of 64 dimensions), one thread, a clip
of 3 s behind a prompt of 2 s at 50 frames a second, and one of 10 s. Depths take turns in one
process; a time is the median over the rounds. The goal: at most 1.1 times from depth 8 to 46. The
layer-by-layer predictor of tokens, of the same size, is beside it with T steps for the first layer
and one for each other.

Writes results/speed/resgen-cpu.csv and .json.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import timing
import torch

from audiotok.tts.base import Codes, Generation
from audiotok.tts.resgen.network import Network, NetworkConfig, condition_of
from audiotok.tts.resgen.sampling import sample_codes

DEPTHS = (8, 16, 32, 46)
GOAL = 1.1
PROMPT, RATE = 100, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--seconds", type=float, nargs="+", default=[3, 10])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--guidance", type=float, default=0.0)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for seconds in arguments.seconds:
        for steps in arguments.steps:
            cell = cell_of(round(seconds * RATE), steps, arguments.guidance, arguments.rounds)
            rows += [{"seconds": seconds, "steps": steps} | row for row in cell]
    table = pd.DataFrame(rows)
    timing.write(arguments.out, "resgen", table, ("torch",))
    print(table.to_string(index=False))
    worst = table[(table.predictor == "latents") & (table.depth == DEPTHS[-1])].ratio.max()
    print(f"depth {DEPTHS[-1]} over {DEPTHS[0]}: at most {worst:.3f}, goal {GOAL}")


def cell_of(frames: int, steps: int, guidance: float, rounds: int) -> list[dict]:
    """A row for each predictor and depth."""
    options = Generation(steps=steps, guidance=guidance, top_p=0.94)
    works = {
        (predictor, depth): work(predictor, depth, frames, options)
        for predictor in ("latents", "tokens")
        for depth in DEPTHS
    }
    times: dict = {key: [] for key in works}
    for turn in range(rounds + 1):  # the first warms up
        for key, (body, _) in works.items():
            milliseconds = timing.clock(body, "cpu", 1)
            if turn:
                times[key].append(milliseconds)
    medians = {key: statistics.median(values) for key, values in times.items()}
    return [
        {
            "predictor": key[0], "depth": key[1], "forwards": forwards(), "ms": medians[key],
            "ratio": medians[key] / medians[key[0], DEPTHS[0]],
        }
        for key, (_, forwards) in works.items()
    ]  # fmt: skip


def work(
    predictor: str, depth: int, frames: int, options: Generation
) -> tuple[Callable[[], None], Callable[[], int]]:
    """What is timed, and the number of its forwards."""
    torch.manual_seed(0)
    codes = Codes("lyra-v2", "", (16,) * depth, (1,) * depth, RATE)
    network, calls = Network(NetworkConfig(latents=64, predictor=predictor), codes).eval(), []
    words = torch.randn(depth, 16, 64) * 0.9 ** torch.arange(depth)[:, None, None]
    network.set_codec(words, 0.9 ** torch.arange(depth))
    phones = torch.arange(frames // 5) % 40 + 2
    spoken = [torch.cat([torch.tensor([0]), phones])]
    condition = condition_of(spoken, [torch.tensor([PROMPT, *[5] * len(phones)])], [PROMPT])
    codes = torch.randint(0, 16, (1, depth, int(condition.lengths[0])))

    def body() -> None:
        generators = [torch.Generator().manual_seed(0)]
        sample_codes(network, codes, condition, options=options, generators=generators)

    def forwards() -> int:
        handle = network.body.register_forward_hook(lambda *_: calls.append(1))
        body()
        handle.remove()
        return len(calls)

    return body, forwards


if __name__ == "__main__":
    main()
