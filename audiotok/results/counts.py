"""The number of clips with a value, and of clips that failed, by column. Imports no torch.

A column does not apply to clips that have no value and did not fail: no text, no tokens, or clips
that a probe was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas


def counted(rows: pandas.DataFrame, basis: str) -> int:
    """The number of clips with a value in the column `basis`, see `Task.basis`."""
    return int(rows[basis].notna().sum()) if basis in rows else 0


def failed(
    rows: pandas.DataFrame,
    failures: Iterable[Mapping[str, str]],
    *,
    task: str,
    column: str,
    basis: str,
) -> int:
    """The number of clips without a value because this column, its task or the clip failed.

    Args:
        rows: with the column `clip`.
        failures: as in a summary: `clip`, and `task` and `column` if only these failed.
    """
    clips = {
        failure["clip"]
        for failure in failures
        if failure.get("task", task) == task and failure.get("column", column) == column
    }
    no_value = rows[basis].isna() if basis in rows else True
    return int((rows["clip"].isin(clips) & no_value).sum())
