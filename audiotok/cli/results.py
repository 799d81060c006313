"""The verbs that show what was measured: compare, validate, report, model-index. Heavy things are
imported when they run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiotok.cli.options import Device, Overwrite

if TYPE_CHECKING:
    import pandas
    from rich.console import Console

Results = Annotated[Path, typer.Option("--results", "-r", help="Folder of results.")]
Suite = Annotated[str | None, typer.Option("--suite", "-s", help="Only this suite.")]
Json = Annotated[bool, typer.Option("--json", help="As JSON, all columns.")]


def compare(
    names: Annotated[
        list[str] | None, typer.Argument(help="Two codecs; with --published none, one or more.")
    ] = None,
    results: Results = Path("results"),
    suite: Suite = None,
    data: Annotated[str | None, typer.Option(help="Only this corpus.")] = None,
    published: Annotated[
        bool, typer.Option("--published", help="With what others published of the same codecs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Two codecs on the same clips, or our numbers beside published ones."""
    import pandas

    from audiotok.errors import ResultsError
    from audiotok.results import comparison

    if published:
        from audiotok.results.published import beside

        each = [beside(results, name, suite, data) for name in names or [None]]
        frame = pandas.concat(each, ignore_index=True)
        show = _published
    elif len(names or ()) != 2:
        raise ResultsError(
            f"compare takes two codecs, not {len(names or ())}: `audiotok compare A B`, or "
            "`audiotok compare [A] --published`"
        )
    else:
        frame = comparison.compare(*names, results, suite, data)
        show = _compared
    if as_json:
        print(frame.to_json(orient="records", indent=1, force_ascii=False))
    else:
        show(frame, _console())


def validate(
    results: Annotated[Path, typer.Argument(help="Folder of results.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Whether results are whole, true to their rows, and fit together: exit code 1 if not."""
    import json

    from audiotok.results import validating

    console = _console(stderr=True)
    with console.status("reading") as status:
        count, found = validating.validate(results, lambda folder: status.update(str(folder)))
    errors = sum(finding.error for finding in found)
    if as_json:
        listed = [vars(finding) | {"folder": str(finding.folder)} for finding in found]
        print(json.dumps({"results": count, "errors": errors, "findings": listed}, indent=1))
    else:
        for finding in found:
            print(finding)
        print(f"{count} results, {errors} errors, {len(found) - errors} warnings")
    raise typer.Exit(1 if errors else 0)


def report(
    source: Annotated[str, typer.Argument(help="A corpus, folder, manifest or file.")] = "bundled",
    tokenizer: Annotated[
        str, typer.Option("--tokenizer", "-t", help="Codecs, separated by commas.")
    ] = "wavtokenizer,opus-6k",
    clips: Annotated[
        str | None, typer.Option(help="Only these, by id; else the first of each speaker.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the page.")] = Path(
        "site/listening"
    ),
    device: Device = "cpu",
    overwrite: Overwrite = False,
) -> None:
    """A page to listen to codecs side by side, and blind."""
    from audiotok import data
    from audiotok.cli import coding
    from audiotok.codec import registry
    from audiotok.harness import harness
    from audiotok.report import listening

    corpus = data.load(source)
    ids = None if clips is None else [name.strip() for name in clips.split(",")]
    chosen = listening.choose(corpus.clips, ids)
    listening.check_folder(out, chosen, overwrite)
    names = [name for one in harness.split_names(tokenizer) for name in registry.expand(one)]
    codecs = [coding.load(name, None, device) for name in names]
    with _console(stderr=True).status("listening") as status:
        print(listening.write(codecs, chosen, out, source, status.update, overwrite))


def model_index(
    codec: Annotated[str, typer.Argument(help="A codec that was measured.")],
    results: Results = Path("results"),
    suite: Suite = None,
    data: Annotated[str | None, typer.Option(help="Only this corpus.")] = None,
) -> None:
    """Its results as metadata for the top of a model card on the Hugging Face Hub."""
    from audiotok.report import hub

    print(hub.front_matter(results, codec, suite, data), end="")


def _compared(frame: pandas.DataFrame, console: Console) -> None:
    """Per setting the columns that have a direction."""
    from rich.table import Table

    from audiotok.results.results import arrow

    for (suite, data, a, b), rows in frame.groupby(
        ["suite", "data", "codec_a", "codec_b"], sort=False
    ):
        console.print(f"{suite} on {data}", style="italic", markup=False)
        table = Table(box=None)
        for head, side in (
            ("column", "left"), (a, "right"), (b, "right"), ("difference", "right"),
            ("95 % interval", "right"), ("clips", "right"), ("failed", "right"), ("better", "left"),
        ):  # fmt: skip
            table.add_column(head, justify=side)
        for _, row in rows.iterrows():
            if row["higher_is_better"] is None:
                continue
            table.add_row(
                row["column"] + arrow(row) + (f" ({row['unit']})" if row["unit"] else ""),
                *(_number(row[key], row["digits"]) for key in ("a", "b", "difference")),
                _interval(row["low"], row["high"], row["digits"]),
                str(row["n"]),
                f"{row['failed_a']}, {row['failed_b']}",
                row["better"] if isinstance(row["better"], str) else "–",
            )
        console.print(table)
    console.print(
        "↑ higher is better, ↓ lower. Means over the clips that both have; the interval is that of "
        "the paired difference, by bootstrap; tie: it holds 0; –: a number of the whole corpus "
        "that its rows do not determine.",
        style="dim",
    )


def _published(frame: pandas.DataFrame, console: Console) -> None:
    """Ours and theirs, metric by metric, with what is to be known of each cell below."""
    from rich.table import Table

    remarks: dict[str, int] = {}
    for (table_name, where), rows in frame.groupby(["table", "ours_on"], sort=False):
        theirs_on = rows["theirs_on"].iloc[0] or "clips not said"
        title = f"ours: {where} | theirs: {table_name}, {theirs_on}"
        console.print(title, style="italic", markup=False)
        table = Table(box=None)
        for head in ("codec", "theirs", "column", "ours", "n", "published", "difference", ""):
            numeric = head in ("ours", "n", "published", "difference")
            table.add_column(head, justify="right" if numeric else "left")
        for _, row in rows.iterrows():
            told = [("!", row["flag"]), ("", row["note"])]
            signs = [
                f"{sign}{remarks.setdefault(text, len(remarks) + 1)}" for sign, text in told if text
            ]
            ours = f"{_number(row['ours'], 3)} {_interval(row['low'], row['high'], 3)}".strip(" –")
            table.add_row(
                row["codec"], row["theirs"], row["column"], ours, str(row["n"]),
                _number(row["published"], 3), _number(row["difference"], 3, sign="+"),
                " ".join(signs),
            )  # fmt: skip
        console.print(table)
    for text, number in remarks.items():
        console.print(f"{number}: {text}", style="dim", markup=False)
    console.print(
        "!: this cell is doubtful. Published numbers are theirs: "
        "audiotok.results.published.load(TABLE) says whose. Where the clips differ, so may the "
        "numbers.",
        style="dim",
        markup=False,
    )


def _number(value: float, digits: int, sign: str = "") -> str:
    return "–" if value != value else f"{value:{sign}.{digits}f}"


def _interval(low: float, high: float, digits: int) -> str:
    return "–" if low != low else f"\\[{low:.{digits}f}, {high:.{digits}f}]"


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    wide = None if (sys.stderr if stderr else sys.stdout).isatty() else 200
    return Console(stderr=stderr, width=wide, highlight=False)
