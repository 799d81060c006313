"""Columns that are shares, and their intervals, limited to 0 to 1. Imports no torch.

A t interval is symmetric, so near 0 or 1 it may reach beyond them. It is cut off there. This
removes no value that a share can have, so the coverage of the interval is unchanged; and unlike a
logit interval it exists where all clips agree. p-values are not changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# Word error rates are not shares: insertions may make them larger than 1.
_SHARES = re.compile(
    r"lm_accuracy|pairs_\w+|\w+_agreement(_\w+)?|stream_codes_equal|speaker_(eer|identified)\w*"
    r"|voicing_(error|f1)|\w+_pnmi|probe_(eer|\w+_accuracy)(_seed_\d+|_chance)?"
)


def is_share(column: str) -> bool:
    """Whether the numbers of a column lie between 0 and 1."""
    return _SHARES.fullmatch(column) is not None


def within(column: str, ci95: Sequence[float] | None, low: float = 0.0) -> list[float] | None:
    """The interval of a column, cut off at `low` and 1 where the column is a share.

    Args:
        low: 0; -1 for the interval of a difference of two shares.
    """
    if ci95 is None or not is_share(column):
        return None if ci95 is None else list(ci95)
    return [min(max(edge, low), 1.0) for edge in ci95]
