"""Writes results as `bench` does, without measuring anything: the tests say what the rows are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from audiotok.results import results, speakers, statistics
from audiotok.system import names
from audiotok.tasks import _words, get

ABOUT = {  # column: task, unit, higher_is_better, digits
    "pesq": ("reconstruction", "MOS", True, 2),
    "stoi": ("reconstruction", "", True, 3),
    "mel_distance": ("reconstruction", "log10", False, 3),
    "estoi": ("reconstruction", "", True, 3),
    "si_sdr": ("reconstruction", "dB", True, 2),
    "bitrate": ("tokens", "bit/s", False, 0),
    "ngram_bitrate": ("tokens", "bit/s", False, 0),
    "ued": ("stability", "", False, 3),
    "lm_bitrate": ("acoustic_lm", "bit/s", False, 0),
    "lm_diverged": ("acoustic_lm", "", False, 0),
    "pairs_speaker": ("acoustic_lm", "", True, 3),
    "continuation_similarity_true": ("acoustic_lm", "", True, 3),
    "wer": ("asr", "", False, 3),
    "words": ("asr", "", None, 0),
    "dwer_whisper_base": ("asr_whisper:base", "", False, 3),
    "seconds_encode": ("speed", "s", False, 3),
}
PACKAGES = {"python": "3.11.7", "pesq": "0.0.4", "torch": "2.11.0"}
SHA256 = "0a0b" * 16


def put(
    root: Path,
    name: str,
    rows: dict[str, list[float]],
    times: dict[str, list[float]] | None = None,
    role: str = "neural",
    data: str = "clips",
    limit: int | None = None,
    version: int = 1,
    seal: bool = True,
    packages: dict[str, str] | None = None,
    versions: dict[str, int] | None = None,
    hardware: str = "a CPU",
    git: dict | None = None,
    speaker: list[str | None] | None = None,
    audiotok: str = "0.1.0",
    **codec,
) -> Path:
    """A finished result; NaN in `rows` is a clip for which the column failed. Its folder."""
    frame = _frame(name, rows, speaker)
    spent = _frame(name, times or {"seconds_encode": [0.5] * len(frame)}, speaker)
    about = {"name": data, "sha256": SHA256, "clips": len(frame), "limit": limit}
    folder = root / results.setting("smoke", version, about) / names.part(name)
    folder.mkdir(parents=True, exist_ok=True)
    tasks = {ABOUT[column][0] for column in rows}
    codec = {"name": name, "role": role, "family": name, "options": {}, "num_codebooks": 1} | codec
    suite = {"name": "smoke", "version": version}
    content = {
        "schema": 1,
        "plan": {
            "audiotok": audiotok, "suite": suite, "seed": 0, "data": about, "device": "cpu",
            "tasks": {
                name: {"task": get(name).version} | (versions or {})
                for name in sorted(tasks | {"speed"})
            },
            "not_measured": [], "codec": {"name": name},
        },
        "suite": suite | {"tasks": sorted(tasks)},
        "data": about, "codec": codec, "scores": _scores(frame), "failures": _failures(frame),
        "not_measured": {}, "packages": packages or PACKAGES,
        "rows_sha256": results.write_rows(folder / "rows.parquet", frame),
    }  # fmt: skip
    results.write_rows(folder / "times.parquet", spent)
    run = {
        "schema": 1, "times": _scores(spent), "seconds": 1.0, "workers": 0, "device": "cpu",
        "finished": "2026-01-01T00:00:00+00:00", "command": "audiotok bench", "hardware": hardware,
        "git": {"commit": "0" * 40, "dirty": False} if git is None else git,
    }  # fmt: skip
    if seal:
        run["summary_sha256"] = results.content_sha256(content)
    results.write_json(folder / "run.json", run)
    results.write_json(folder / "summary.json", content)
    return folder


def whole(summary: dict, run: dict) -> tuple[dict, dict]:
    """What a test says of summary.json and run.json, and beside it what these must hold."""
    about = {"name": "clips", "sha256": SHA256, "clips": 4, "limit": None}
    suite = {"name": "smoke", "version": 1, "tasks": []}
    summary = {
        "schema": 1, "suite": suite, "data": about, "scores": {}, "failures": [],
        "not_measured": {}, "packages": {}, "rows_sha256": SHA256,
    } | summary  # fmt: skip
    plan = {"audiotok": "0.1.0", "seed": 0, "tasks": {}, "data": summary["data"]}
    plan |= {"suite": summary["suite"], "codec": {"name": summary["codec"]["name"]}}
    run = {
        "schema": 1, "times": {}, "seconds": 1.0, "finished": "2026-01-01T00:00:00+00:00",
        "command": "audiotok bench", "git": None, "device": "cpu", "hardware": "a CPU",
    } | run  # fmt: skip
    return summary | {"plan": plan | summary.get("plan", {})}, run


def _frame(
    name: str, rows: dict[str, list[float]], speaker: list[str | None] | None
) -> pd.DataFrame:
    count = len(next(iter(rows.values())))
    clips = [f"clip{number}" for number in range(count)]
    about = {"codec": [name] * count, "clip": clips}
    return pd.DataFrame(about | ({"speaker": speaker} if speaker else {}) | rows)


def _scores(frame: pd.DataFrame) -> dict[str, dict]:
    found = {}
    for column in frame.columns.difference(["codec", "clip", "speaker"], sort=False):
        task, unit, better, digits = ABOUT[column]
        values = frame[column].dropna()
        labels = [speakers.labels(frame)[place] for place in values.index]
        score = statistics.mean_score(values, int(frame[column].isna().sum()), clusters=labels)
        score["interval"] = speakers.described(statistics.Clusters(labels, len(labels)))
        if column == "wer":
            score["mean"] = _words.micro_average(frame, "wer", "words")["wer"]
            score["ci95"] = [score["mean"] - 0.1, score["mean"] + 0.1]
        found[column] = score | {
            "task": task, "unit": unit, "higher_is_better": better, "digits": digits,
            "description": f"what {column} is",
        }  # fmt: skip
    return found


def _failures(frame: pd.DataFrame) -> list[dict[str, str]]:
    return [
        {"clip": clip, "stage": "score", "message": "", "task": ABOUT[column][0], "column": column}
        for column in frame.columns.intersection(list(ABOUT))
        for clip in frame["clip"][frame[column].isna()]
    ]


def spread(mean: float, n: int = 40, seed: int = 0, width: float = 0.1) -> list[float]:
    """n numbers around a mean."""
    return list(np.random.default_rng(seed).normal(mean, width, n))
