"""Times VALL-E R with merging and without: steps and seconds at 5, 10 and 20 s of speech.

    python benchmarks/speed/tts.py                          # results/speed/tts-cpu.csv and .json
    python benchmarks/speed/tts.py --seconds 5 --rounds 1

Both models have the sizes of the recipes valle-r-ar, valle-aligned-ar and valle-nar and random
weights: their speed does not depend on the weights, because the durations are given, 13 phones
per second. The prompt lasts 3 s. They take turns in this one process, on one thread; a time
is the median over the rounds, of process time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch

from audiotok.codec import registry
from audiotok.errors import RecipeError, ResultsError
from audiotok.results import provenance
from audiotok.system import assets
from audiotok.system.files import replacing
from audiotok.tasks.speed import hardware
from audiotok.tts import recipe as recipes
from audiotok.tts.alignment import durations
from audiotok.tts.base import Codes, Generation, Prompt, Request
from audiotok.tts.valle import ValleR

PROMPT = 3.0  # seconds
PHONES = 13  # per second
ARMS = {"merged": "valle-r-ar", "unmerged": "valle-aligned-ar"}


def build_model(name: str) -> ValleR:
    """With random weights, of the sizes of a recipe and of valle-nar."""
    parts = []
    for part in (name, "valle-nar"):
        recipe = recipes.load(assets.find(recipes.KIND, part, RecipeError))
        codec = recipes.load(assets.find(recipes.KIND, name, RecipeError)).codecs[0]
        card = registry.find_card(codec)
        rate = card.sample_rate_in / card.hop_length
        codes = Codes(codec, "random", tuple(card.codebook_sizes), tuple(card.strides), rate)
        parts.append(recipe.model.build(codes))
    return ValleR(*parts).eval()


def request(model: ValleR, seconds: float) -> Request:
    """A request for `seconds` seconds of speech, with given durations."""
    codes = model.codes
    frames = round(PROMPT * codes.frame_rate) // model.merge * model.merge
    prompt = [torch.randint(0, size, (frames,)) for size in codes.codebook_sizes]
    count = round(PHONES * seconds)
    starts = [number / PHONES for number in range(count)]
    units = round(seconds * codes.frame_rate / model.merge)
    lengths = durations(starts, units, codes.frame_rate / model.merge)
    return Request(torch.randint(3, 42, (count,)), Prompt(torch.stack(prompt)), lengths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, nargs="+", default=[5.0, 10.0, 20.0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/speed/tts-cpu.csv"))
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    models = {arm: build_model(name) for arm, name in ARMS.items()}
    rows = []
    for seconds in arguments.seconds:
        times: dict[str, list[tuple[float, float]]] = {arm: [] for arm in models}
        steps = {}
        for _ in range(arguments.rounds):
            for arm, model in models.items():
                inputs = request(model, seconds)
                start = time.process_time()
                for spoken in model.ar.speak([inputs], Generation()):  # noqa: B007
                    pass
                middle = time.process_time()
                first = torch.tensor(spoken[0].tokens).repeat_interleave(model.merge)
                model.nar.fill([inputs], [first])
                times[arm].append((middle - start, time.process_time() - middle))
                steps[arm] = len(spoken[0].tokens)
        for arm, measured in times.items():
            ar, nar = (statistics.median(values) for values in zip(*measured, strict=True))
            rows.append({"seconds": seconds, "arm": arm, "steps": steps[arm], "ar": ar, "nar": nar})
        merged, unmerged = rows[-2:]
        merged["ar_share"] = merged["ar"] / unmerged["ar"]
        merged["total_share"] = (merged["ar"] + merged["nar"]) / (unmerged["ar"] + unmerged["nar"])
        print(merged, unmerged, sep="\n", flush=True)
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware("cpu"),
        "rounds": arguments.rounds,
        "packages": provenance.packages(("torch", "numpy")),
        "git": provenance.git(),
        "command": provenance.command(),
    }
    with replacing(arguments.out, ResultsError) as file:
        file.write(pd.DataFrame(rows).round(4).to_csv(index=False).encode())
    with replacing(arguments.out.with_suffix(".json"), ResultsError) as file:
        file.write(json.dumps(record, indent=1).encode())


if __name__ == "__main__":
    main()
