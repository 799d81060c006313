"""Which columns a name selects, such as one of the headline of a suite. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from audiotok.judges.pretrained import slug


def select(names: Iterable[str], columns: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The columns with these names, in this order, each once. A name also selects the columns that
    the same task has with an option: `enhance_dwer` selects `enhance_dwer_noises` of
    `enhance:noises`.

    Args:
        columns: as `results.columns` or `Result.scores`: each has its `task`.
    """
    selected = (
        column
        for name in names
        for column, about in columns.items()
        if column in (name, name + slug(about["task"].partition(":")[2]))
    )
    return list(dict.fromkeys(selected))
