"""What makes small codecs learn: trains the recipe `switches`, measures each run, writes the table.

    python benchmarks/ablation.py run --corpus TRAIN --spoken SPOKEN --test TEST
    python benchmarks/ablation.py table docs/training.md          # --check: change nothing

`run` resumes where it stopped: runs that were trained or measured are not repeated.
TRAIN holds the readers of recipes/clips/librispeech-mini.txt, SPOKEN synthesised speech, TEST
readers that no run learned from, with speakers in its manifest. The numbers of each clip go to
results/training/switches.csv, from which `table` is made: differences of two switches for each
seed, with 95 % intervals over the speakers. One is better than the other if the interval excludes
0 on the same side with every seed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import measured
import pandas as pd

import audiotok
from audiotok.errors import RecipeError
from audiotok.results import statistics
from audiotok.system import assets
from audiotok.system.files import replacing
from audiotok.training import train

ROOT = Path(__file__).resolve().parents[1]
ROWS = ROOT / "results" / "training" / "switches.csv"
SWITCHES = ("base", "magnitude", "elu", "snake", "rotation", "factorized", "rvq", "svq", "fsq")
PAIRS = (  # two switches, and their descriptions
    ("base", "magnitude", "complex STFT loss", "magnitudes"),
    ("snake", "elu", "snake", "ELU"),
    ("rotation", "base", "rotation trick", "straight-through"),
    ("factorized", "base", "factorised, cosine", "plain codebooks"),
    ("rvq", "svq", "RVQ", "SVQ"),
    ("rvq", "fsq", "RVQ", "FSQ"),
    ("svq", "fsq", "SVQ", "FSQ"),
)
BEGIN, END = "<!-- ablation -->\n", "<!-- end ablation -->"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="train and measure the runs that are missing")
    run.add_argument("--corpus", required=True)
    run.add_argument("--spoken", required=True)
    run.add_argument("--test", required=True)
    run.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    run.add_argument("--switches", nargs="+", choices=SWITCHES, default=SWITCHES)
    run.add_argument("--out", type=Path, default=Path("runs/switches"))
    run.add_argument("--rows", type=Path, default=ROWS)
    run.add_argument("overrides", nargs="*", help="further key=value for each run")
    table = verbs.add_parser("table", help="write the table into a document")
    table.add_argument("document", type=Path)
    table.add_argument("--rows", type=Path, default=ROWS)
    table.add_argument("--check", action="store_true", help="exit 1 if the table is outdated")
    arguments = parser.parse_args()
    return train_all(arguments) if arguments.verb == "run" else write(arguments)


def train_all(arguments: argparse.Namespace) -> int:
    recipe = assets.find("recipes", "switches", RecipeError)
    for seed in arguments.seeds:
        for switch in arguments.switches:
            if not missing(arguments.rows, switch, seed):
                continue
            weights = train(
                recipe,
                [
                    f"axes.switch={switch}", f"seed={seed}", f"data.corpus={arguments.corpus}",
                    f"data.additional.0.corpus={arguments.spoken}", *arguments.overrides,
                ],
                arguments.out / f"{switch}-{seed}",
                report=progress(switch, seed),
                note=lambda text: print(text, flush=True),
                cpu=True,
            )  # fmt: skip
            rows = pd.DataFrame(measured.rows(audiotok.load(weights), arguments.test))
            rows.insert(0, "switch", switch)
            rows.insert(1, "seed", seed)
            append_rows(arguments.rows, rows)
            means = rows[list(measured.METRICS)].mean().round(3).to_dict()
            print(f"{switch}, seed {seed}: {means}", flush=True)
    return 0


def progress(switch: str, seed: int):
    """A report for `train`: a line for each twentieth of the steps."""

    def report(step: int, steps: int, numbers: dict[str, float]) -> None:
        if step % max(1, steps // 20) == 0:
            print(f"{switch}, seed {seed}: step {step} of {steps}", flush=True)

    return report


def missing(path: Path, switch: str, seed: int) -> bool:
    """Whether a run has no rows yet."""
    if not path.exists():
        return True
    rows = pd.read_csv(path)
    return not ((rows["switch"] == switch) & (rows["seed"] == seed)).any()


def append_rows(path: Path, new: pd.DataFrame) -> None:
    """Adds rows to the file, which is written whole or not at all."""
    rows = [pd.read_csv(path)] if path.exists() else []
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, RecipeError) as file:
        file.write(pd.concat([*rows, new]).round(6).to_csv(index=False).encode())


def write(arguments: argparse.Namespace) -> int:
    text = arguments.document.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or END not in text:
        print(f"{arguments.document}: expected one line {BEGIN.strip()!r} and one {END!r}")
        return 2
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not arguments.rows.exists():
        print(f"{arguments.rows} is missing: `python benchmarks/ablation.py run` writes it")
        return 2
    content = before + BEGIN + table(pd.read_csv(arguments.rows)) + END + after
    if arguments.check:
        return int(content != text)
    with replacing(arguments.document, RecipeError) as file:
        file.write(content.encode())
    return 0


def table(rows: pd.DataFrame) -> str:
    """The table of all pairs of switches that were measured with the same seeds."""
    lines = [
        "| first | second | seed | " + " | ".join(measured.METRICS) + " |",
        "| --- | --- | ---: |" + " ---: |" * len(measured.METRICS),
    ]
    for *switches, first, second in PAIRS:
        seeds = sorted(
            set.intersection(*(set(rows[rows["switch"] == s]["seed"]) for s in switches))
        )
        verdicts: dict[str, list[int | None]] = {name: [] for name in measured.METRICS}
        for seed in seeds:
            chosen = [rows[(rows["switch"] == s) & (rows["seed"] == seed)] for s in switches]
            cells = []
            for metric in measured.METRICS:
                estimate = measured.difference(*chosen, metric)
                verdicts[metric].append(statistics.verdict(estimate.ci95, measured.HIGHER[metric]))
                cells.append(measured.formatted(estimate, metric))
            lines.append(f"| {first} | {second} | {seed} | " + " | ".join(cells) + " |")
        if seeds:
            names = [better(verdicts[metric], first, second) for metric in measured.METRICS]
            lines.append(f"| {first} | {second} | better | " + " | ".join(names) + " |")
    return "\n".join(lines) + "\n"


def better(verdicts: list[int | None], first: str, second: str) -> str:
    """The name of the one that is better with every seed."""
    if len(verdicts) < 2 or len(set(verdicts)) > 1:
        return "tie"
    return {1: first, -1: second}.get(verdicts[0], "tie")


if __name__ == "__main__":
    sys.exit(main())
