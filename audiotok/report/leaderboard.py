"""The leaderboard: LEADERBOARD.md and leaderboard.csv, a pure function of results/. No torch.

Only whole suites are compared: runs with --limit or --tasks are counted, not shown. What is missing
is shown as missing, and every number stays with its suite, its version and its clips.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from audiotok.codec.licences import NOTE
from audiotok.errors import ResultsError
from audiotok.report import samples
from audiotok.results import contamination
from audiotok.results.ranking import Ranking, rank
from audiotok.results.results import Result, arrow, by_setting, cell, columns, refuse_mixed
from audiotok.results.validating import read_true
from audiotok.system.escaping import markdown, markdown_table, spreadsheet
from audiotok.system.files import replacing

NAMES = ("LEADERBOARD.md", "leaderboard.csv")
_ROLES = {
    "ceiling": "the reference itself (ceiling)",
    "given": "given with the corpus, not run by us",
    "neural": "",
    "baseline": "classical baseline",
    "floor": "random codes (floor)",
}
_CSV = (
    "suite", "version", "data", "data_sha256", "codec", "role", "column", "unit", "mean", "low",
    "high", "n", "failed", "not_applicable", "task", "rank", "mean_rank", "contamination",
)  # fmt: skip
_MARKS = (b"Written by `audiotok leaderboard`", ",".join(_CSV[:5]).encode())  # of files of ours
_HEAD = """# Leaderboard

Written by `audiotok leaderboard` from `results/` alone; do not edit. Means over clips, or numbers
of the whole corpus, with their 95 % bootstrap interval; – was not measured; "(4 of 6, 1 failed)"
are the clips that a number is made of, where they are not all: clips that failed, or to which the
column does not apply, are counted, never scored. ↑ higher is better, ↓ lower is better, ° a
classical baseline.

A rank is 1 + the number of codecs that are better on the same clips (the 95 % interval of the
paired difference excludes 0), so that codecs which the clips cannot tell apart share one; only
codecs with a value in every ranked column on every clip are ranked, and by their mean rank.
"""


def build(results: str | Path) -> dict[str, bytes]:
    """The content of both files, by name; ResultsError where a result was torn or edited."""
    found = read_true(results)
    whole = [result for result in found if result.is_whole]
    text, rankings = [_HEAD], {}
    for setting, group in by_setting(whole):
        refuse_mixed(group)
        for task in _tasks(group):
            rankings[setting, task] = rank(group, task)
        text += _section(group, {task: rankings[setting, task] for task in _tasks(group)})
    if not whole:
        text.append("No codec was measured on a whole suite yet.\n")
    if len(whole) < len(found):
        text.append(f"Not shown: {len(found) - len(whole)} partial results (--limit or --tasks).\n")
    return dict(zip(NAMES, ("\n".join(text).encode(), _csv(whole, rankings)), strict=True))


def write(results: str | Path, out: str | Path, overwrite: bool = False) -> list[Path]:
    """Writes both files into the folder `out`; returns their paths.

    Args:
        overwrite: replace files of these names also where they are no leaderboard.

    Raises:
        ResultsError: a file of that name is no leaderboard, or cannot be written.
    """
    content = {Path(out) / name: data for name, data in build(results).items()}
    for path, mark in zip(content, _MARKS, strict=True):
        if not overwrite and path.is_file() and mark not in path.read_bytes()[:1000]:
            raise ResultsError(
                f"{path} is not a file that `audiotok leaderboard` wrote: name another folder with "
                "--out, or give --overwrite"
            )
    for path, data in content.items():
        with replacing(path, ResultsError) as file:
            file.write(data)
    return list(content)


def check(results: str | Path, out: str | Path) -> list[Path]:
    """The files in `out` that are not what `results` give."""
    wrong = []
    for name, content in build(results).items():
        path = Path(out) / name
        if not path.is_file() or path.read_bytes() != content:
            wrong.append(path)
    return wrong


def _tasks(group: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(column["task"] for column in columns(group).values()))


def _section(group: Sequence[Result], rankings: dict[str, Ranking | None]) -> list[str]:
    """One setting: a table for each task and its ranks, then hardware, failures and what was not
    measured."""
    first = group[0].summary
    suite, data = first["suite"], first["data"]
    lines = [
        markdown(f"## {suite['name']} v{suite['version']} on {data['name']}") + "\n",
        markdown(f"{data['clips']} clips, sha256 {data['sha256'][:8]}…") + "\n",
    ]
    known = columns(group)
    lines += [markdown(note) + ".\n" for note in samples.notes(group)]
    for task, ranking in rankings.items():
        names = [name for name, column in known.items() if column["task"] == task]
        lines += [f"### {markdown(task)}\n", _table(group, names)]
        lines += _ranks(group, ranking) if ranking else []
        lines += [_legend(name, known[name]) for name in names]
        lines.append("")
    lines += ["### codecs\n", _codecs(group)]
    if any(result.restricted for result in group):
        lines.append(f"{NOTE}.\n")
    for note in contamination.notes(result.contamination for result in group):
        lines.append(f"{note}.\n")
    lines += _notes(group)
    return lines


def _table(group: Sequence[Result], names: Sequence[str]) -> str:
    known = columns(group)
    head = ["codec", *(name + arrow(known[name]) for name in names)]
    rows = [
        [result.marked, *(cell(result.scores.get(name), interval=True) for name in names)]
        for result in group
    ]
    return markdown_table(head, rows)


def _ranks(group: Sequence[Result], ranking: Ranking) -> list[str]:
    """Ranks of one task, best first, and who has none."""
    names = list(ranking.columns)
    order = sorted(
        (result for result in group if result.codec in ranking.mean),
        key=lambda result: (ranking.mean[result.codec], result.codec),
    )
    rows = [
        [
            result.marked,
            f"{ranking.mean[result.codec]:.2f}",
            *(str(ranking.columns[name][result.codec]) for name in names),
        ]
        for result in order
    ]
    without = [
        markdown(f"{codec} is not ranked: {', '.join(lacking)} not there for every clip")
        for codec, lacking in sorted(ranking.incomplete.items())
    ]
    return [markdown_table(["ranks", "mean", *names], rows), *(f"- {line}" for line in without)]


def _codecs(group: Sequence[Result]) -> str:
    rows = []
    for result in group:
        codec = result.summary["codec"]
        rows.append([
            result.marked,
            _ROLES[result.role],
            *(_plain(codec.get(key)) for key in ("token_rate", "bitrate", "sample_rate_out")),
            _plain(codec.get("licence_weights")),
            ", ".join(codec.get("training_data", ())) or "–",
            _plain(codec.get("verified")),
            result.run["hardware"],
        ])  # fmt: skip
    head = ["codec", "what", "token/s", "bit/s", "Hz", "licence of weights", "trained on"]
    return markdown_table([*head, "verified", "measured on"], rows)


def _notes(group: Sequence[Result]) -> list[str]:
    found = []
    for result in group:
        lines = []
        failed = {failure["clip"] for failure in result.summary["failures"]}
        if failed:
            lines.append(f"something failed for {len(failed)} clips")
        for what, why in sorted(result.summary["not_measured"].items()):
            lines.append(f"{what} not measured: {why}")
        found += [f"- {markdown(result.codec)}: {markdown(line)}" for line in lines]
    return [*found, ""] if found else []


def _legend(name: str, column: dict) -> str:
    unit = f" ({column['unit']})" if column["unit"] else ""
    return f"- {markdown(name + unit)}: {markdown(column['description'])}"


def _plain(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _csv(group: Sequence[Result], rankings: dict) -> bytes:
    """One line per codec and column: nothing rounded away, nothing that a join would lose."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_CSV)
    for result in group:
        suite, data = result.summary["suite"], result.summary["data"]
        for name, score in result.scores.items():
            low, high = score["ci95"] or ("", "")
            mean = "" if score["mean"] is None else score["mean"]
            ranking = rankings[result.folder.parent, score["task"]]
            place = ranking.columns.get(name, {}).get(result.codec, "") if ranking else ""
            overall = f"{ranking.mean[result.codec]:.4g}" if place else ""
            writer.writerow(map(spreadsheet, [
                suite["name"], suite["version"], data["name"], data["sha256"], result.codec,
                result.role, name, score["unit"], mean, low, high, score["n"], score["failed"],
                score["not_applicable"], score["task"], place, overall, result.contamination,
            ]))  # fmt: skip
    return file.getvalue().encode()
