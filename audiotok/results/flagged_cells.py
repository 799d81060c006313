"""Which cells of a published table contradict others: rules of SOURCES.yaml, applied to a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

Doubts = Iterator[tuple[tuple[int, str], str]]  # (row, column) and the reason


def flags(
    frame: pd.DataFrame,
    rules: Mapping[str, Any],
    shared: Sequence[Mapping[str, Any]] = (),
    reprint: pd.DataFrame | None = None,
) -> dict[tuple[int, str], str]:
    """{(row, column): why the cell is doubtful}.

    Args:
        rules: `cells`, `best`, `spread` and `also` of the table.
        shared: cells that are doubtful in several tables.
        reprint: the table that `also` names, which should have equal cells.
    """
    reasons: dict[tuple[int, str], list[str]] = {}
    for flag in [*rules.get("cells", ()), *shared]:
        for row in frame.index[matches(frame, flag["match"])]:
            for column in flag["columns"]:
                reasons.setdefault((row, column), []).append(flag["reason"])
    doubtful = [*_beyond_bound(frame, rules.get("best"))]
    if reprint is not None:
        doubtful += _differing_cells(frame, reprint, rules["also"])
    doubtful += _large_spreads(frame, rules.get("spread"))
    for key, text in doubtful:
        reasons.setdefault(key, []).append(text)
    return {key: "; ".join(texts) for key, texts in reasons.items()}


def matches(frame: pd.DataFrame, conditions: Mapping[str, Any]) -> pd.Series:
    """Whether a row has all these values."""
    matching = pd.Series(True, index=frame.index)
    for column, value in conditions.items():
        matching &= frame[column] == value
    return matching


def label(row: pd.Series) -> str:
    """The published name of the codec of a row."""
    return next(str(row[key]) for key in ("tokenizer", "codec", "model", "method") if key in row)


def _beyond_bound(frame: pd.DataFrame, rule: Mapping[str, Any] | None) -> Doubts:
    """Cells that are better than the row that is an upper bound, such as the ground truth."""
    if rule is None:
        return
    bound = frame[matches(frame, rule["match"])].iloc[0]
    for sign, columns in ((1, rule.get("higher", ())), (-1, rule.get("lower", ()))):
        for column in columns:
            for row in frame.index[sign * (frame[column] - bound[column]) > 0]:
                yield (row, column), f"better than the {label(bound).lower()} ({bound[column]:g})"


def _differing_cells(frame: pd.DataFrame, reprint: pd.DataFrame, name: str) -> Doubts:
    """Cells that differ in another publication of the same table."""
    keys = [key for key in ("dataset", "tokenizer", "num_codebooks") if key in frame]
    counterpart = reprint.set_index(keys)
    for row, values in frame.set_index(keys).iterrows():
        index = frame.index[(frame[keys] == list(row)).all(axis=1)][0]
        for column in values.index.drop("source_table"):
            value, reprinted = values[column], counterpart.loc[row, column]
            if not (value == reprinted or (pd.isna(value) and pd.isna(reprinted))):
                yield (index, column), f"{reprinted:g} in {name}"


def _large_spreads(frame: pd.DataFrame, share: float | None) -> Doubts:
    """Means over seeds whose standard deviation is so large that some seeds may have diverged.

    Args:
        share: of the mean; None: no cell is flagged.
    """
    for column in frame.columns if share is not None else ():
        if not column.endswith("_std"):
            continue
        mean = column.replace("_std", "_mean")
        for row in frame.index[frame[column] > share * frame[mean].abs()]:
            yield (
                (row, mean),
                f"{frame[mean][row]:g} ± {frame[column][row]:g} over seeds: some may have diverged "
                "and were averaged in",
            )
