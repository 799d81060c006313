"""Compute the intervals of stored results again, from their rows alone; no codec runs.

    python benchmarks/summaries.py results            # rewrites the results that change
    python benchmarks/summaries.py results --check    # exit 1 if anything would change

Results of earlier versions do not say who speaks in a clip. For the corpora in SPEAKERS the ids of
clips do, by the rule given there, and the rows get the column `speaker`; the rows of other corpora
do not change, and their intervals are over clips. Means, counts and all else do not change.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from audiotok import tasks
from audiotok.errors import AudiotokError
from audiotok.harness import summary
from audiotok.results import results, shares, speakers, statistics
from audiotok.results.results import Result

_READER = r"(?:a__(?:train|test)__)?(\d+)-\d+-\d+"  # SPEAKER-CHAPTER-NUMBER of LibriSpeech
_DIGIT = r"a__\d_([a-z]+)_\d+"  # DIGIT_SPEAKER_NUMBER of the Free Spoken Digit Dataset
_VOICE = r"(awb|kal|ked|rms|slt)_\d+"  # VOICE_NUMBER; clips of music and noise have no speaker
# (name of the corpus, first digits of its sha256) -> pattern of the speaker in clip ids.
SPEAKERS = {
    ("bundled", "38d6c314"): _VOICE,
    ("digits", "f07ef9bb"): _DIGIT,
    ("fsdd-words", "03436fa3"): _DIGIT,
    ("fsdd-test", "68a35263"): _DIGIT,
    ("librispeech-mini-test", "666664d3"): _READER,
    ("librispeech-mini-test-lm", "f64ed251"): _READER,
    ("librispeech-mini-test-verification", "954ac9b7"): _READER,
    ("librispeech-mini-train-sex", "8b7d9edf"): _READER,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--check", action="store_true", help="change nothing")
    arguments = parser.parse_args()
    changed = [r for r in results.read_all(arguments.results) if renew(r, arguments.check)]
    for result in changed:
        print(result.folder)
    return int(arguments.check and bool(changed))


def renew(result: Result, check: bool = False) -> bool:
    """Whether the files of a result change; they are rewritten unless `check`."""
    rows, times = (with_speakers(result, frame) for frame in (result.rows, result.times))
    seed = result.summary["plan"]["seed"]
    content = result.summary | {"scores": scores(result.summary["scores"], rows, seed)}
    run = result.run | {"times": scores(result.run["times"], times, seed)}
    same = [results.to_json(a) == results.to_json(b) for a, b in
            ((content, result.summary), (run, result.run))]  # fmt: skip
    if all(same) and rows.equals(result.rows) and times.equals(result.times):
        return False
    if not check:
        folder = result.folder
        content["rows_sha256"] = results.write_rows(folder / "rows.parquet", rows)
        results.write_rows(folder / "times.parquet", times)
        run["summary_sha256"] = results.content_sha256(content)
        results.write_json(folder / "run.json", run)
        results.write_json(folder / "summary.json", content)
    return True


def with_speakers(result: Result, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the column `speaker`, if the ids of their clips contain it."""
    data = result.summary["data"]
    rule = SPEAKERS.get((data["name"], data["sha256"][:8]))
    if rule is None or "speaker" in rows:
        return rows
    matches = [re.fullmatch(rule, clip) for clip in rows["clip"]]
    rows = rows.copy()
    rows.insert(2, "speaker", [match and match[1] for match in matches])
    return rows


def scores(old: dict[str, dict], rows: pd.DataFrame, seed: int) -> dict[str, dict]:
    """The scores with intervals over the clusters of these rows."""
    labels = np.array(speakers.labels(rows), dtype=object)
    renewed: dict[str, dict] = {}
    for task in dict.fromkeys(score["task"] for score in old.values()):
        names = [name for name, score in old.items() if score["task"] == task]
        totals, estimates, scored_clusters = of_corpus(task, rows, names, seed)
        for name in names:
            values = rows[name].dropna() if name in rows else pd.Series(dtype=float)
            clusters, ci95 = scored_clusters, None
            if name in totals:
                ci95 = estimates[name].ci95
            elif len(values) and abs(values.mean() - old[name]["mean"]) <= 1e-5 * abs(
                values.mean()
            ):
                clusters = statistics.Clusters(labels[values.index], len(values))
                ci95 = statistics.mean_score(values, 0, seed, clusters.labels)["ci95"]
            if old[name]["ci95"] is None:  # it depends on more than its rows, or has too few
                ci95 = None
            ci95 = shares.within(name, ci95)
            interval = speakers.described(clusters) if ci95 else None
            renewed[name] = old[name] | {"ci95": ci95, "interval": interval}
    return {name: renewed[name] for name in old}


def of_corpus(
    name: str, rows: pd.DataFrame, columns: list[str], seed: int
) -> tuple[dict[str, float], dict[str, statistics.Estimate], statistics.Clusters | None]:
    """The numbers of the corpus that a task computes from its rows, and their intervals."""
    try:
        task = tasks.get(name)
    except AudiotokError:
        return {}, {}, None
    if not (totals := task.summarise(rows, [])):
        return {}, {}, None
    scored = rows[rows.filter(columns).notna().any(axis=1)]
    return totals, *summary.corpus_estimates(task, scored, totals, seed)


if __name__ == "__main__":
    sys.exit(main())
