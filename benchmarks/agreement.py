"""Tables of published samples beside the survey's own numbers, and whether the ranks agree.

In a document, `benchmarks/report.py` writes such a table between these marks:

    <!-- results/samples-v1/x-1234abcd sdr si_sdr : published dates_reconstruction_music -->
    <!-- end -->

Each cell is our number of the samples, and behind it the survey's of its whole test set. Where a
sample does not say how many codebooks were used, the numbers of all settings are shown,
and the ranks are compared with that of SETTING codebooks. Cells that the survey's own numbers
contradict (published.load's `flags`) are marked by ! and left out of the ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from scipy.stats import spearmanr

from audiotok.results import published, results
from audiotok.results.results import Result
from audiotok.system.escaping import markdown, markdown_table

SETTING = 8


def table(measurements: Sequence[Result], names: Sequence[str], source: str) -> str:
    """Markdown: one row per codec, then Spearman's rho of each column with its number of codecs."""
    survey, columns = published.load(source), published.rank_columns(source)
    known = results.columns(measurements)
    rows, pairs = [], {name: [] for name in names}
    for result in measurements:
        settings = settings_of(result, survey)
        cells = [result.title, str(result.summary["data"]["clips"])]
        for name in names:
            column = columns[name]
            score = result.scores.get(name)
            numbers = " / ".join(number(row, column) for row in settings)
            cells.append(" · ".join(filter(None, [results.cell(score), numbers])))
            row = ranked_row(settings)
            if not score or score["mean"] is None or row is None:
                continue
            if pd.notna(row[column]) and not flagged(row, column):
                pairs[name].append((result.codec, score["mean"], row[column]))
        rows.append(cells)
    head = ["codec", "clips"]
    head += [f"{name}{results.arrow(known[name])} · {columns[name]}" for name in names]
    doubtful = published.sample_doubts().keys()
    lines = [agreement(known, columns, pairs, "Spearman's ρ of our numbers with the survey's")]
    if doubtful & {codec for values in pairs.values() for codec, *_ in values}:
        certain = {n: [v for v in values if v[0] not in doubtful] for n, values in pairs.items()}
        lines.append(
            agreement(known, columns, certain, "Without the files whose names are doubtful")
        )
    return markdown_table(head, rows) + "\n" + "\n".join(lines)


def agreement(known: dict, columns: dict[str, str], pairs: dict, title: str) -> str:
    """One line: how the ranks agree; 1 where both put the codecs in the same order."""
    parts = []
    for name, values in pairs.items():
        if len(values) < 3:
            continue
        _, measured, published_values = zip(*values, strict=True)
        rho = spearmanr(measured, published_values).statistic
        better = known[name]["higher_is_better"]
        rho *= 1 if better == published_better(columns[name]) else -1
        label = name if name == columns[name] else f"{name} with {columns[name]}"
        parts.append(f"{label} {rho:.2f} (n = {len(values)})")
    return markdown(f"{title}: {', '.join(parts)}.") + "\n"


def published_better(column: str) -> bool:
    """Whether a higher number is better in a column of the survey."""
    return column != "wer"


def settings_of(result: Result, survey: pd.DataFrame) -> list[pd.Series]:
    """The rows of the survey that a sample may belong to."""
    settings = []
    for tokenizer in published.samples():
        rows = [row for _, row in survey[survey["tokenizer"] == tokenizer].iterrows()]
        if result.codec == published.sample(tokenizer):
            return rows
        settings += [
            row
            for row in rows
            if result.codec == published.sample(tokenizer, f"{row['num_codebooks']:.0f}")
        ]
    return settings


def ranked_row(settings: Sequence[pd.Series]) -> pd.Series | None:
    """The row that ranks are compared with."""
    if len(settings) > 1:
        settings = [row for row in settings if row["num_codebooks"] == SETTING]
    return settings[0] if settings else None


def flagged(row: pd.Series, column: str) -> bool:
    return any(flag.startswith(f"{column}: ") for flag in row["flags"].split("; "))


def number(row: pd.Series, column: str) -> str:
    """A number of the survey, with ! where it is contradicted."""
    return "–" if pd.isna(row[column]) else f"{row[column]:g}{'!' * flagged(row, column)}"
