"""Views of a result: one line of text, and its scores as a table in a notebook."""

from __future__ import annotations

from typing import Any

from audiotok.system import notebook


class Shown:
    """The text and the table of a `Result`; a base class of it."""

    codec: str
    scores: dict[str, dict[str, Any]]
    summary: dict[str, Any]

    def __repr__(self) -> str:
        suite, data = self.summary["suite"], self.summary["data"]
        failed = len(self.summary["failures"])
        return (
            f"Result({self.codec}: suite {suite['name']} v{suite['version']} on {data['name']}, "
            f"{data['clips']} clips, {len(self.scores)} columns, {failed} failures)"
        )

    def _repr_html_(self) -> str:
        from audiotok.results.results import arrow, cell

        rows = [
            (name + arrow(score), cell(score, interval=True), score["unit"], score["task"])
            for name, score in self.scores.items()
        ]
        heads = ("column", "mean [95 % interval]", "unit", "task")
        return f"<p>{notebook.text(self)}</p>" + notebook.table(rows, heads)
