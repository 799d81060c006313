"""The verbs tasks, suites and metrics, which list these; cache; completion for shells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiotok.cli.options import Json
from audiotok.errors import AudiotokError

if TYPE_CHECKING:
    from audiotok.metrics import Column

SHELLS = ("bash", "zsh", "fish")


def tasks(as_json: Json = False) -> None:
    """List the tasks of `bench`, the columns they rank codecs by, and whether they can run here."""
    from audiotok import tasks as all_tasks
    from audiotok.cli import show, terminal

    entries = [
        {
            "task": task.name,
            "option": task.option,
            "version": task.version,
            "ranked": list(task.ranked),
            "columns": [_column(column) for column in task.columns],
            "ready": (reason := task.available()) is None,
            "why_not": reason,
        }
        for task in all_tasks.list_tasks()
    ]
    if as_json:
        show.json(entries)
        return
    rows = [
        (
            entry["task"],
            str(entry["version"]),
            str(len(entry["columns"])),
            ", ".join(entry["ranked"]) or "–",
            entry["why_not"] or "yes",
            entry["option"] or "–",
        )
        for entry in entries
    ]
    heads = ("task", "version", "columns", "ranked by", "ready", "option, as task:option")
    terminal.table(
        show.out, heads, rows,
        right=("version", "columns"), prose=heads[3:], drop=("version", "columns", heads[-1]),
    )  # fmt: skip


def suites(as_json: Json = False) -> None:
    """List the suites that ship: what `bench --suite` measures, and on which corpus."""
    from audiotok.cli import show, terminal
    from audiotok.harness.suite import load_suite
    from audiotok.system import assets

    entries = [load_suite(name) for name in assets.names("benchmarks")]
    if as_json:
        show.json([suite.model_dump(mode="json") for suite in entries])
        return
    rows = [
        (
            suite.name,
            str(suite.version),
            suite.data or "yours",
            ", ".join(suite.tasks),
            suite.description,
        )
        for suite in entries
    ]
    heads = ("suite", "version", "data", "tasks", "description")
    terminal.table(
        show.out, heads, rows,
        right=("version",), prose=("tasks", "description"), drop=("version", "tasks"),
    )  # fmt: skip


def metrics(as_json: Json = False) -> None:
    """List the metrics of a reference and a reconstruction, with their columns and units."""
    from audiotok import metrics as all_metrics
    from audiotok.cli import show, terminal

    entries = [
        {
            "metric": metric.name,
            "version": metric.version,
            "columns": [_column(column) for column in metric.all_columns],
            "ready": (error := metric.missing()) is None,
            "why_not": None if error is None else str(error),
        }
        for metric in all_metrics.list_metrics()
    ]
    if as_json:
        show.json(entries)
        return
    arrows = {True: "↑", False: "↓", None: ""}
    rows = [
        (column["name"], arrows[column["higher_is_better"]], column["unit"], column["description"])
        for entry in entries
        for column in entry["columns"]
    ]
    terminal.table(
        show.out, ("column", "", "unit", "meaning"), rows, prose=("meaning",), drop=("unit",)
    )
    show.out.print("↑ higher is better, ↓ lower is better", style="dim")
    for entry in entries:
        if not entry["ready"]:
            show.out.print(entry["why_not"], style="yellow")


def _column(column: Column) -> dict[str, Any]:
    keys = ("name", "unit", "higher_is_better", "description")
    return {key: getattr(column, key) for key in keys}


def cache(
    clear: Annotated[
        bool, typer.Option("--clear", help="Remove the entries; other files stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show where the cache of `bench` is and how large it is; clear it with --clear."""
    from audiotok.cli import show
    from audiotok.cli.terminal import pairs
    from audiotok.harness.cache import open_cache

    store = open_cache(show.err.print)
    removed = store.clear() if clear else 0
    usage, other_files = store.usage(), store.foreign_files()
    if as_json:
        by_kind = {kind: {"entries": n, "bytes": size} for kind, (n, size) in usage.items()}
        content = {
            "folder": str(store.folder),
            "limit": store.limit,
            "other_files": len(other_files),
        }
        show.json(content | {"kinds": by_kind} | ({"removed": removed} if clear else {}))
    else:
        if clear:
            print(f"{removed} entries were removed from {store.folder}")
        missing = "" if store.folder.is_dir() else " (does not exist yet)"
        rows = [("folder", f"{store.folder}{missing}")]
        rows += [(kind, f"{n} entries, {_bytes(size)}") for kind, (n, size) in usage.items()]
        total = sum(size for _, size in usage.values())
        rows.append(("total", f"{_bytes(total)} of at most {_bytes(store.limit)}"))
        pairs(show.out, rows)
        if other_files:
            names = ", ".join(sorted(path.name for path in other_files[:5]))
            more = ", ..." if len(other_files) > 5 else ""
            show.out.print(f"Other files in this folder, never removed: {names}{more}")
    remaining = sum(n for n, _ in usage.values())
    if clear and remaining:
        show.err.print(f"{remaining} entries could not be removed, or were written meanwhile")
        raise typer.Exit(1)


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def completion(
    shell: Annotated[str, typer.Argument(help=f"Shell: {', '.join(SHELLS)}.", metavar="SHELL")],
) -> None:
    """Print a script that completes commands in a shell: source <(audiotok completion bash)."""
    from typer.completion import get_completion_script

    if shell not in SHELLS:
        raise AudiotokError(f"no completion for the shell {shell!r}: expected {', '.join(SHELLS)}")
    variable = "_AUDIOTOK_COMPLETE"
    print(get_completion_script(prog_name="audiotok", complete_var=variable, shell=shell))
