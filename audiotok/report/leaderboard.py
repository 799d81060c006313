"""The leaderboard: LEADERBOARD.md and leaderboard.csv, a pure function of results/. No torch.

LEADERBOARD.md has the headline table of each domain (`headline`), leaderboard.csv every number.
Only whole suites are compared: runs with --limit or --tasks are counted, not shown. What is missing
is shown as missing.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from audiotok.codec.licences import NOTE
from audiotok.errors import ResultsError
from audiotok.report import headline, samples
from audiotok.report.boards import Boards
from audiotok.report.headline import Headline, Row
from audiotok.results import contamination, speakers
from audiotok.results.remarks import remarks
from audiotok.results.results import Result, by_setting, refuse_mixed
from audiotok.results.validating import read_checked
from audiotok.system.escaping import markdown, markdown_table, spreadsheet
from audiotok.system.files import replacing

NAMES = ("LEADERBOARD.md", "leaderboard.csv")
_CSV = (
    "suite", "version", "data", "data_sha256", "codec", "role", "column", "unit", "mean", "low",
    "high", "n", "failed", "not_applicable", "task", "rank", "mean_rank", "contamination",
    "band", "band_rank", "fronts",
)  # fmt: skip
_HEADERS = (
    b"Written by `audiotok leaderboard`",
    ",".join(_CSV[:5]).encode(),
)  # of files that we wrote
_LINES = 150  # of LEADERBOARD.md; longer tables are cut, with a note
_HEAD = """# Leaderboard

Written by `audiotok leaderboard` from `results/` alone; do not edit. Means over clips, sorted by
bitrate. **Bold**: the best mean of the band, significant or not. –: not measured. °: classical
codec. All columns, intervals, ranks, seeds and counts are in [leaderboard.csv](leaderboard.csv) and
on the site (`audiotok leaderboard --site site`, [docs/site.md](docs/site.md)).
"""


def build(results: str | Path) -> dict[str, bytes]:
    """The content of both files, by name; ResultsError if a result is damaged or edited."""
    measured = read_checked(results)
    complete = [result for result in measured if result.is_complete]
    boards = {}
    for setting, group in by_setting(complete):
        refuse_mixed(group)
        boards[setting] = Boards(group)
    text = _page(measured, complete, headline.tables(complete, Path(results) / "published"))
    return dict(zip(NAMES, (text.encode(), _csv(complete, boards)), strict=True))


def write(results: str | Path, out: str | Path, overwrite: bool = False) -> list[Path]:
    """Writes both files into the folder `out`; returns their paths.

    Args:
        overwrite: replace files of these names even if they are not a leaderboard.

    Raises:
        ResultsError: a file of that name is not a leaderboard, or cannot be written.
    """
    content = {Path(out) / name: data for name, data in build(results).items()}
    for path, header in zip(content, _HEADERS, strict=True):
        if not overwrite and path.is_file() and header not in path.read_bytes()[:1000]:
            raise ResultsError(
                f"{path} is not a file that `audiotok leaderboard` wrote: name another folder with "
                "--out, or give --overwrite"
            )
    for path, data in content.items():
        with replacing(path, ResultsError) as file:
            file.write(data)
    return list(content)


def check(results: str | Path, out: str | Path) -> list[Path]:
    """The files in `out` that differ from those computed from `results`."""
    differing = []
    for name, content in build(results).items():
        path = Path(out) / name
        if not path.is_file() or path.read_bytes() != content:
            differing.append(path)
    return differing


def _page(measured: Sequence[Result], complete: Sequence[Result], tables: list[Headline]) -> str:
    """The text of LEADERBOARD.md, with as many rows per table as _LINES allow."""
    for max_rows in range(60, 0, -1):
        lines = [_HEAD]
        for table in tables:
            lines += _domain(table, max_rows)
        if not complete:
            lines.append("No codec was measured on a whole suite yet.\n")
        lines += _all_settings(complete)
        if len(complete) < len(measured):
            partial = len(measured) - len(complete)
            lines.append(f"Not shown: {partial} partial results (--limit or --tasks).\n")
        text = "\n".join(lines)
        if text.count("\n") <= _LINES:
            break
    return text


def _domain(table: Headline, max_rows: int) -> list[str]:
    """The tables of one domain, with their notes."""
    lines = [f"## {table.domain.capitalize()}\n"]
    if table.group:
        data = table.corpus
        text = f"Measured on {data['name']}, {data['clips']} clips. {speakers.note(table.group)}."
        if bits := table.corpus_of_bits:
            text += f" Bits under the LM: on {bits['name']}, {bits['clips']} clips."
        lines.append(markdown(text) + "\n")
    for section in headline.SECTIONS:
        rows = table.section(section)
        if not rows:
            continue
        lines += [f"### {headline.SECTION_TITLES[section]}\n"]
        if section == headline.SAMPLES:
            lines += [markdown(note) + ".\n" for note in samples.notes(table.sample_group)]
        lines.append(_rows(table, rows, max_rows))
        if len(rows) > max_rows:
            lines.append(f"{len(rows) - max_rows} more are in leaderboard.csv and on the site.\n")
    names = [column.source for column in table.columns]
    data_names = dict.fromkeys(row.result.summary["data"]["name"] for row in table.rows)
    notes = [note for name in data_names for note in remarks(name, names)]
    shown = [row.result for row in table.rows]
    notes += [NOTE] if any(result.restricted for result in shown) else []
    notes += contamination.notes(result.contamination for result in shown)
    return lines + [f"{note}.\n" for note in dict.fromkeys(notes)]


def _rows(table: Headline, rows: Sequence[Row], max_rows: int) -> str:
    """A table of one section, without the columns that none of its rows has."""
    columns = [c for c in table.columns if any(row.cells.get(c.key) is not None for row in rows)]
    head = ["codec", "band", "kbit/s", *(column.head for column in columns)]
    lines = []
    for band, members in headline.bands(rows):
        best = {column.key: headline.best(members, column) for column in columns}
        for row in members:
            shown_band = "–" if row.section == headline.ANCHORS else band
            cells = [row.name + row.marks, shown_band, headline.kbit(row.bitrate)]
            for column in columns:
                cell = row.cells.get(column.key)
                text = "–" if cell is None else f"{cell.value:.{column.digits}f}"
                if row.codec in best[column.key]:
                    text = f"◆{text}◆"
                cells.append(text)
            lines.append(cells)
    return re.sub(r"◆(-?[\d.]+)◆", r"**\1**", markdown_table(head, lines[:max_rows]))


def _all_settings(complete: Sequence[Result]) -> list[str]:
    """One line that names every suite and corpus of the CSV."""
    settings = [
        f"{r['suite']['name']} v{r['suite']['version']} on {r['data']['name']}"
        for r in (group[0].summary for _, group in by_setting(complete))
    ]
    if not settings:
        return []
    return [f"In leaderboard.csv and on the site: {markdown('; '.join(settings))}.\n"]


def _csv(group: Sequence[Result], boards: dict[Path, Boards]) -> bytes:
    """One line per codec and column, with unrounded numbers."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_CSV)
    for result in group:
        suite, data = result.summary["suite"], result.summary["data"]
        setting_boards = boards[result.folder.parent]
        board = next((b for b in setting_boards.boards if result in b.results), None)
        for name, score in result.scores.items():
            low, high = score["ci95"] or ("", "")
            mean = "" if score["mean"] is None else score["mean"]
            ranking = setting_boards.rankings[score["task"]]
            rank = ranking.columns.get(name, {}).get(result.codec, "") if ranking else ""
            mean_rank = ranking.mean.get(result.codec) if rank else None
            mean_rank_text = "" if mean_rank is None else f"{mean_rank:.4g}"
            writer.writerow(map(spreadsheet, [
                suite["name"], suite["version"], data["name"], data["sha256"], result.codec,
                result.role, name, score["unit"], mean, low, high, score["n"], score["failed"],
                score["not_applicable"], score["task"], rank, mean_rank_text, result.contamination,
                board.band if board else "",
                board.ranks.get(name, {}).get(result.codec, "") if board else "",
                " ".join(setting_boards.on_fronts(name, result.codec)),
            ]))  # fmt: skip
    return file.getvalue().encode()
