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
from audiotok.report.boards import Boards, bitrate
from audiotok.results import contamination, speakers
from audiotok.results.ranking import Ranking
from audiotok.results.remarks import remarks
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
    "band", "band_rank", "fronts",
)  # fmt: skip
_MARKS = (b"Written by `audiotok leaderboard`", ",".join(_CSV[:5]).encode())  # of files of ours
_HEAD = """# Leaderboard

Written by `audiotok leaderboard` from `results/` alone; do not edit. Means over clips, or numbers
of the whole corpus, with their 95 % interval; – was not measured; "(4 of 6, 1 failed)"
are the clips that a number is made of, where they are not all: clips that failed, or to which the
column does not apply, are counted, never scored. ↑ higher is better, ↓ lower is better, ° a
classical baseline.

Below each corpus stands what its intervals are over: speakers, where they are known (Student's t
by the jackknife where they are few, else the two-stage bootstrap: speakers, and clips within them).

Each task names the few columns that codecs are ranked by; costs (bits, parameters, seconds) are
shown, never ranked. A rank is 1 + the number of codecs that are better on the same clips (the 95 %
interval of the paired difference excludes 0, without correction for the number of pairs, which
stands beside the ranks), so that codecs which the clips cannot tell apart
share one; those that are not better than random codes share the last. A clip without a value of
some codec is left out for all. A codec that lacks values gets the worse of its ranks on those clips
and on all, where each missing value counts as the worst of the clip; one that lacks too many (more
than a fifth of the clips would be left out) has no rank.

The first table of each section has the codecs by bitrate band, ranked within the band. ◆ is on the
Pareto front of the column against the bitrate: better than random codes, and than every codec of
the section at an equal or lower rate; ◇ is on its front against the bits under a language model. A
rate of exactly 1.5, 3 or 6 kbit/s belongs to the band that ends there, 0.75 to the one that begins.
"""


def build(results: str | Path) -> dict[str, bytes]:
    """The content of both files, by name; ResultsError where a result was torn or edited."""
    found = read_true(results)
    whole = [result for result in found if result.is_whole]
    text, boards = [_HEAD], {}
    for setting, group in by_setting(whole):
        refuse_mixed(group)
        boards[setting] = Boards(group)
        text += _section(boards[setting])
    if not whole:
        text.append("No codec was measured on a whole suite yet.\n")
    if len(whole) < len(found):
        text.append(f"Not shown: {len(found) - len(whole)} partial results (--limit or --tasks).\n")
    return dict(zip(NAMES, ("\n".join(text).encode(), _csv(whole, boards)), strict=True))


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


def _section(boards: Boards) -> list[str]:
    """One setting: its bands and fronts, a table for each task and its ranks, then hardware,
    failures and what was not measured."""
    group = boards.group
    first = group[0].summary
    suite, data = first["suite"], first["data"]
    lines = [
        markdown(f"## {suite['name']} v{suite['version']} on {data['name']}") + "\n",
        markdown(f"{data['clips']} clips, sha256 {data['sha256'][:8]}…") + "\n",
        markdown(f"{speakers.note(group)}.") + "\n",
    ]
    known = columns(group)
    lines += [f"{note}.\n" for note in remarks(data["name"], known)]
    lines += [markdown(note) + ".\n" for note in samples.notes(group)]
    lines += _bands(boards)
    for task, ranking in boards.rankings.items():
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


def _bands(boards: Boards) -> list[str]:
    """The codecs by bitrate band with their ranks there, and the fronts; nothing where no quality
    was measured."""
    if not boards.columns:
        return []
    known = columns(boards.group)
    head = ["band", "codec", "bit/s", "token/s", *boards.costs]
    head += [name + arrow(known[name]) for name in boards.columns]
    rows = []
    for board in boards.boards:
        for result in board.results:
            row = [board.band, result.marked, _plain(bitrate(result), 0)]
            row.append(_plain(result.summary["codec"].get("token_rate"), 1))
            row += [cell(result.scores.get(cost)) for cost in boards.costs]
            for name in boards.columns:
                place = board.rank(name, result.codec)
                parts = [cell(result.scores.get(name)), f"rank {place}" if place else ""]
                parts.append(boards.marks(name, result.codec))
                row.append(", ".join(filter(None, parts)))
            rows.append(row)
    lines = ["### by bitrate\n", markdown_table(head, rows)]
    for front in boards.main_fronts:
        codecs = ", ".join(front.codecs) or "no codec is better than random codes"
        lines.append("- " + markdown(f"front of {front.column} against {front.cost}: {codecs}"))
    return [*lines, ""]


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
        f"{codec} is not ranked in {column}: {reason}"
        for codec, reasons in sorted(ranking.unranked.items())
        for column, reason in reasons.items()
    ]
    pairs = len(rows) * (len(rows) - 1) // 2
    counted = [f"{pairs} pairs are compared in each of {len(names)} columns"] if pairs else []
    notes = [f"- {markdown(line)}" for line in (*counted, *without, *ranking.notes())]
    return [markdown_table(["ranks", "mean", *names], rows) if rows else "", *notes]


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


def _plain(value: object, digits: int | None = None) -> str:
    if value is None:
        return "–"
    if digits is not None:
        return f"{value:.{digits}f}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _csv(group: Sequence[Result], boards: dict[Path, Boards]) -> bytes:
    """One line per codec and column: nothing rounded away, nothing that a join would lose."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_CSV)
    for result in group:
        suite, data = result.summary["suite"], result.summary["data"]
        own = boards[result.folder.parent]
        board = next((one for one in own.boards if result in one.results), None)
        for name, score in result.scores.items():
            low, high = score["ci95"] or ("", "")
            mean = "" if score["mean"] is None else score["mean"]
            ranking = own.rankings[score["task"]]
            place = ranking.columns.get(name, {}).get(result.codec, "") if ranking else ""
            mean_rank = ranking.mean.get(result.codec) if place else None
            overall = "" if mean_rank is None else f"{mean_rank:.4g}"
            writer.writerow(map(spreadsheet, [
                suite["name"], suite["version"], data["name"], data["sha256"], result.codec,
                result.role, name, score["unit"], mean, low, high, score["n"], score["failed"],
                score["not_applicable"], score["task"], place, overall, result.contamination,
                board.band if board else "",
                board.ranks.get(name, {}).get(result.codec, "") if board else "",
                " ".join(own.on_fronts(name, result.codec)),
            ]))  # fmt: skip
    return file.getvalue().encode()
