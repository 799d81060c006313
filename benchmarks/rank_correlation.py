"""Does reconstruction quality predict the quality of generated tokens? Kendall's tau as Markdown.

    python benchmarks/rank_correlation.py results --first stoi,pesq --second wer_whisper_base

Columns are looked for in all results below the folder, see `audiotok.results.rank_correlation`. A
name also selects the columns that its task has with an option: `enhance_dwer_noises` of
`enhance:noises`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import pandas as pd

from audiotok.errors import AudiotokError
from audiotok.results import rank_correlation
from audiotok.results.results import Result, columns, read_all
from audiotok.results.selection import select
from audiotok.system.escaping import markdown_table

FIRST = ("stoi", "pesq", "mel_distance", "wer_whisper_base", "lm_bitrate")
SECOND = ("wer_whisper_base", "tts_wer_base", "enhance_dwer", "separate_dwer")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", nargs="?", default="results", help="folder of results")
    parser.add_argument("--first", default=",".join(FIRST), help="columns, separated by commas")
    parser.add_argument("--second", default=",".join(SECOND), help="columns that they may predict")
    arguments = parser.parse_args()
    try:
        measurements = read_all(arguments.results)
    except AudiotokError as error:
        print(error, file=sys.stderr)
        return 2
    names = (arguments.first.split(","), arguments.second.split(","))
    print(markdown(table(measurements, *names)))
    return 0


def table(
    measurements: Sequence[Result], first: Sequence[str] = FIRST, second: Sequence[str] = SECOND
) -> pd.DataFrame:
    """`rank_correlation.table` of the columns that these names select; a name that selects none
    is kept, so that its row says that no point has it."""
    available = columns(measurements)
    selected = (
        [column for name in names for column in select([name], available) or [name]]
        for names in (first, second)
    )
    return rank_correlation.table(measurements, *selected)


def markdown(table: pd.DataFrame) -> str:
    """The table of `rank_correlation.table`, without pairs of a column with itself."""
    rows: list[Sequence[str]] = []
    for row in table[table["first"] != table["second"]].itertuples():
        tau = "–" if pd.isna(row.tau) else f"{row.tau:+.2f}"
        interval = "–" if pd.isna(row.low) else f"{row.low:+.2f} to {row.high:+.2f}"
        basis = row.reason or f"{row.speakers} speakers"
        rows.append([row.first, row.second, str(row.points), tau, interval, basis])
    head = ["orders by", "and by", "points", "Kendall's tau", "95 % interval", "over"]
    return markdown_table(head, rows)


if __name__ == "__main__":
    sys.exit(main())
