"""Does each metric change in the right direction when sound gets worse? Known degradations.

    python benchmarks/metric_ladder.py --clips 10 --out results/metric_ladder
    python benchmarks/metric_ladder.py --mos --data FOLDER --clips 6 --out results/metric_ladder/mos

Every metric that can be computed here, or with --mos the predictors of opinion scores, over clips
of speech of a corpus, taken in turn from its speakers: noise of 20, 10, 0 dB, low-pass at 4, 2, 1
kHz, Opus from 24 to 6 kbit/s, Lyra v2 from 9.2 to 0.8 kbit/s where its weights are here, each
ladder below the reference itself. Writes ladder.csv, a row for each rung and column: the
mean, the number of clips with a value, and whether the mean moved the right way from the rung
above, over the clips that have a value on both. Columns without a direction are not
judged. All is at 16 kHz, so there are no columns NAME_16k.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import pandas as pd

import audiotok
from audiotok import data, metrics
from audiotok.errors import AudiotokError, MetricError, ResultsError
from audiotok.judges import mos
from audiotok.sound.audio import Audio
from audiotok.system.files import replacing

LADDERS = {
    "noise": ("noise-20db", "noise-10db", "noise-0db"),
    "lowpass": ("lowpass-4k", "lowpass-2k", "lowpass-1k"),
    "opus": ("opus-24k", "opus-16k", "opus-12k", "opus-8k", "opus-6k"),
}
LYRA = ("lyra-v2", *(f"lyra-v2:codebooks={count}" for count in (30, 16, 8, 4)))
TOP = "reference"
Judge = metrics.Metric | mos.Predictor
Ladders = dict[str, tuple[str, ...]]


def speech(count: int, source: str = "bundled") -> dict[str, Audio]:
    """`count` clips of a corpus by id, of the speakers in turn."""
    by_speaker: dict[str, list] = {}
    corpus = data.load(source)
    for clip in filter(corpus.is_speech, corpus):
        by_speaker.setdefault(clip.speaker, []).append(clip)
    turns = itertools.chain.from_iterable(itertools.zip_longest(*by_speaker.values()))
    return {clip.id: clip.read() for clip in itertools.islice(filter(None, turns), count)}


def measure(
    clips: dict[str, Audio], chosen: list[Judge], ladders: Ladders = LADDERS
) -> dict[str, pd.DataFrame]:
    """{rung: table of clips by columns}, missing where a metric has no value."""
    rungs = [TOP, *itertools.chain.from_iterable(ladders.values())]
    tables = {}
    for number, rung in enumerate(rungs, 1):
        print(f"\r{number} of {len(rungs)}: {rung:<12}", end="", file=sys.stderr, flush=True)
        codec = audiotok.load(rung, device="cpu") if rung != TOP else None
        rows = {}
        for name, clip in clips.items():
            sound = clip if codec is None else codec.reconstruct(clip)
            rows[name] = scores(chosen, clip, sound)
        tables[rung] = pd.DataFrame.from_dict(rows, orient="index")
    print(file=sys.stderr)
    return tables


def scores(chosen: list[Judge], clip: Audio, sound: Audio) -> dict[str, float]:
    """The values of the columns that have one."""
    compared = [metric for metric in chosen if isinstance(metric, metrics.Metric)]
    row = metrics.measure(compared, *metrics.pair(clip, sound)) if compared else {}
    for predictor in (judge for judge in chosen if judge not in compared):
        row |= predictor(sound)
    return {k: v for k, v in row.items() if not isinstance(v, MetricError)}


def judge(
    tables: dict[str, pd.DataFrame], columns: list[metrics.Column], ladders: Ladders = LADDERS
) -> pd.DataFrame:
    """A row for each rung and column."""
    rows = []
    for (ladder, rungs), column in itertools.product(ladders.items(), columns):
        above = None
        for rung in (TOP, *rungs):
            values = tables[rung].get(column.name, pd.Series(dtype=float)).dropna()
            rows.append({
                "ladder": ladder, "rung": rung, "column": column.name, "unit": column.unit,
                "mean": values.mean(), "n": len(values), "moved": moved(column, above, values),
            })  # fmt: skip
            above = values
    return pd.DataFrame(rows)


def moved(column: metrics.Column, above: pd.Series | None, values: pd.Series) -> str:
    """'right', 'wrong', 'not at all', or nothing where there is nothing to judge."""
    if above is None or column.higher_is_better is None:
        return ""
    steps = (values - above).dropna()
    if steps.empty:
        return ""
    step = steps.mean() * (1 if column.higher_is_better else -1)
    return "right" if step < 0 else "wrong" if step > 0 else "not at all"


def show(table: pd.DataFrame) -> None:
    """A line for each column and ladder: the means from top to bottom, and the wrong steps."""
    for (ladder, column), part in table.groupby(["ladder", "column"], sort=False):
        steps = part["moved"]
        failures = [
            f"{rung} {step}"
            for rung, step in zip(part["rung"], steps, strict=True)
            if step in ("wrong", "not at all")
        ]
        verdict = "" if not steps.any() else "right" if not failures else ", ".join(failures)
        means = " ".join(f"{mean:9.3f}" for mean in part["mean"])
        print(f"{ladder:8} {column:20} {means}  {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--data", default="bundled")
    parser.add_argument("--mos", action="store_true", help="predictors of opinion scores alone")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    ladders = dict(LADDERS)
    try:
        audiotok.load(LYRA[0], device="cpu")
        ladders["lyra"] = LYRA
    except AudiotokError as error:
        print(f"left out: {error}", file=sys.stderr)
    chosen = []
    predictors = (mos.get(name) for name in mos.names())
    for metric in predictors if arguments.mos else metrics.list_metrics():
        if (error := metric.missing()) is not None:
            print(f"left out: {error}", file=sys.stderr)
        else:
            chosen.append(metric)
    clips = speech(arguments.clips, arguments.data)
    columns = [column for metric in chosen for column in metric.columns]
    table = judge(measure(clips, chosen, ladders), columns, ladders)
    show(table)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        with replacing(arguments.out / "ladder.csv", ResultsError) as file:
            file.write(table.round(4).to_csv(index=False).encode())


if __name__ == "__main__":
    main()
