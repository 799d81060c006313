"""The verbs about results: compare, validate, report, model-index, push, leaderboard."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiotok.cli.options import Checkpoint, Device, Json, Overwrite
from audiotok.errors import AudiotokError

if TYPE_CHECKING:
    import pandas
    from rich.console import Console

Results = Annotated[Path, typer.Option("--results", "-r", help="Folder of results.")]
Suite = Annotated[str | None, typer.Option("--suite", "-s", help="Use only results of this suite.")]
AllColumns = Annotated[bool, typer.Option("--json", help="Print all columns as JSON.")]


def compare(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Two codecs to compare; with --published none, one or more."),
    ] = None,
    results: Results = Path("results"),
    suite: Suite = None,
    data: Annotated[str | None, typer.Option(help="Use only results on this corpus.")] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published", help="Compare our numbers with published ones of the same codecs."
        ),
    ] = False,
    as_json: AllColumns = False,
) -> None:
    """Compare two codecs clip by clip, with intervals, or our numbers with published ones."""
    import pandas

    from audiotok.cli.terminal import console
    from audiotok.errors import ResultsError
    from audiotok.results import comparison

    if published:
        from audiotok.results.published import beside

        tables = [beside(results, name, suite=suite, data=data) for name in names or [None]]
        frame = pandas.concat(tables, ignore_index=True)
        print_table = _print_published
    elif len(names or ()) != 2:
        raise ResultsError(
            f"compare takes two codecs, not {len(names or ())}: `audiotok compare A B`, or "
            "`audiotok compare [A] --published`"
        )
    else:
        frame = comparison.compare(*names, results=results, suite=suite, data=data)
        print_table = _print_comparison
    if as_json:
        print(frame.to_json(orient="records", indent=1, force_ascii=False))
    else:
        print_table(frame, console())


def validate(
    results: Annotated[Path, typer.Argument(help="Folder of results.")] = Path("results"),
    as_json: Json = False,
) -> None:
    """Check stored results: complete, and means and intervals equal to rows. Exit code 1 if not."""
    import json

    from audiotok.cli.terminal import status
    from audiotok.results import validating

    with status("reading") as update:
        count, findings = validating.validate(results, lambda folder: update(str(folder)))
    errors = sum(finding.error for finding in findings)
    if as_json:
        records = [vars(finding) | {"folder": str(finding.folder)} for finding in findings]
        print(json.dumps({"results": count, "errors": errors, "findings": records}, indent=1))
    else:
        for finding in findings:
            print(finding)
        print(f"{count} results, {errors} errors, {len(findings) - errors} warnings")
    raise typer.Exit(1 if errors else 0)


def report(
    source: Annotated[
        str, typer.Argument(help="Clips to listen to: a corpus, a folder, a manifest or a file.")
    ] = "bundled",
    tokenizer: Annotated[
        str, typer.Option("--tokenizer", "-t", help="Codecs to listen to, separated by commas.")
    ] = "wavtokenizer,opus-6k",
    clips: Annotated[
        str | None,
        typer.Option(
            help="Ids of clips, separated by commas; default: the first clip of each speaker."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the page to.")] = Path(
        "site/listening"
    ),
    device: Device = "auto",
    overwrite: Overwrite = False,
) -> None:
    """Write a web page to listen to codecs side by side and in a blind test."""
    from audiotok import data
    from audiotok.cli import coding
    from audiotok.cli.terminal import status
    from audiotok.codec import registry
    from audiotok.harness.settings import split_names
    from audiotok.report import listening

    corpus = data.load(source)
    ids = None if clips is None else [name.strip() for name in clips.split(",")]
    chosen = listening.choose(corpus.clips, ids)
    listening.check_folder(out, chosen, overwrite)
    names = [name for typed in split_names(tokenizer) for name in registry.expand(typed)]
    codecs = [coding.load(name, None, device) for name in names]
    with status("listening") as update:
        page = listening.write(
            codecs, chosen, out, corpus=source, progress=update, overwrite=overwrite
        )
    print(page)


def model_index(
    codec: Annotated[str, typer.Argument(help="Codec that was measured.")],
    results: Results = Path("results"),
    suite: Suite = None,
    data: Annotated[str | None, typer.Option(help="Use only results on this corpus.")] = None,
) -> None:
    """Print results of a codec as model-index metadata for its Hugging Face model card."""
    from audiotok.report import hub

    print(hub.front_matter(results, codec, suite, data), end="")


def push(
    name: Annotated[str, typer.Argument(help="Codec: a name, or a .safetensors file.")],
    to: Annotated[str, typer.Option("--to", help="Repository on the Hugging Face Hub, ORG/NAME.")],
    results: Results = Path("results"),
    checkpoint: Checkpoint = None,
    private: Annotated[
        bool, typer.Option("--private", help="Create a private repository.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the files to this new folder, upload nothing."),
    ] = None,
) -> None:
    """Upload weights, model card with results, and samples to the Hugging Face Hub."""
    from audiotok.cli import coding
    from audiotok.report import hub_push

    codec = coding.load(name, checkpoint, "cpu")
    if out is not None:
        print(hub_push.write(codec, out, to, results))
        return
    print(hub_push.push(codec, to, results, private=private))
    print(f'Load it: audiotok.load("hub:{to}")', file=sys.stderr)


def _print_comparison(frame: pandas.DataFrame, out: Console) -> None:
    """A table for each suite and corpus, of the columns with a direction."""
    from audiotok.cli.terminal import table
    from audiotok.results.results import arrow

    for (suite, data, a, b), rows in frame.groupby(
        ["suite", "data", "codec_a", "codec_b"], sort=False
    ):
        out.print(f"{suite} on {data}", style="italic")
        heads = ("column", a, b, "difference", "95 % interval", "clips", "failed", "better")
        cells = [
            (
                row["column"] + arrow(row) + (f" ({row['unit']})" if row["unit"] else ""),
                *(_number(row[key], row["digits"]) for key in ("a", "b", "difference")),
                _interval(row["low"], row["high"], row["digits"]),
                str(row["n"]),
                f"{row['failed_a']}, {row['failed_b']}",
                _verdict(row),
            )
            for _, row in rows.iterrows()
            if row["higher_is_better"] is not None
        ]
        table(out, heads, cells, right=heads[1:-1])
        methods = rows["interval"].dropna().mode()
        if len(methods):
            out.print(f"Intervals: {methods[0]}, unless clips are missing.", style="dim")
        count = rows["comparisons"].iloc[0]
        out.print(f"Verdicts: after Holm's correction for {count} columns.", style="dim")
    out.print(
        "↑ higher is better, ↓ lower is better. Means over the clips that both codecs have; the "
        "interval is that of the paired difference, without correction. tie: no difference is "
        "shown; *: verdict from the interval alone; n of m seeds: seeds in which the difference "
        "holds, a verdict needs all; –: no interval, or a detail of another column. If speakers "
        "are unknown and some have several clips, the intervals over clips are too narrow.",
        style="dim",
    )


def _verdict(row: pandas.Series) -> str:
    if not isinstance(row["better"], str):
        return "–"
    seeds = f" ({row['seeds_that_agree']} of {row['seeds']} seeds)" if row["seeds"] else ""
    return row["better"] + ("*" if row["verdict_by"] == "interval" else "") + seeds


def _print_published(frame: pandas.DataFrame, out: Console) -> None:
    """Our and published numbers, metric by metric, with remarks on cells below the table."""
    from audiotok.cli.terminal import table

    remarks: dict[str, int] = {}
    for (table_name, ours_on), rows in frame.groupby(["table", "ours_on"], sort=False):
        clips = rows["theirs_on"].iloc[0] or "clips unknown"
        title = f"ours: {ours_on} | published: {table_name}, {clips}"
        out.print(title, style="italic")
        cells = []
        for _, row in rows.iterrows():
            flags = [("!", row["flag"]), ("", row["note"])]
            references = [
                f"{sign}{remarks.setdefault(text, len(remarks) + 1)}"
                for sign, text in flags
                if text
            ]
            ours = f"{_number(row['ours'], 3)} {_interval(row['low'], row['high'], 3)}".strip(" –")
            cells.append((
                row["codec"], row["column"], ours, str(row["n"]), _number(row["published"], 3),
                _number(row["difference"], 3, sign="+"), " ".join(references), row["theirs"],
            ))  # fmt: skip
        heads = ("codec", "column", "ours", "n", "published", "difference", "", "theirs")
        table(out, heads, cells, keys=2, right=("ours", "n", "published", "difference"))
    for text, number in remarks.items():
        out.print(f"{number}: {text}", style="dim")
    out.print(
        "!: this cell is doubtful. audiotok.results.published.load(TABLE) has the source of the "
        "published numbers. Numbers on different clips may differ.",
        style="dim",
    )


def _number(value: float, digits: int, sign: str = "") -> str:
    return "–" if value != value else f"{value:{sign}.{digits}f}"


def _interval(low: float, high: float, digits: int) -> str:
    return "–" if low != low else f"[{low:.{digits}f}, {high:.{digits}f}]"


def leaderboard(
    results: Annotated[Path, typer.Option("--results", "-r", help="Folder of results.")] = Path(
        "results"
    ),
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder to write the two files to.")
    ] = Path("."),
    folder: Annotated[
        Path | None,
        typer.Option(
            "--site", help="Write the static site to this folder instead of the two files."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option(help="Write nothing; exit code 1 if the files are not up to date.")
    ] = False,
    sounds: Annotated[
        bool,
        typer.Option(
            help="Make the sounds of the site's players, and the codec of its page try.html."
        ),
    ] = True,
    overwrite: Overwrite = False,
) -> None:
    """Write LEADERBOARD.md and leaderboard.csv, or a static site, from stored results."""
    from audiotok.cli.terminal import status
    from audiotok.report import leaderboard as board
    from audiotok.report import site

    if overwrite and (check or folder is not None):
        raise AudiotokError(
            "--overwrite is for the two files: --check writes nothing, and a site is updated in "
            "its own folder or written to a new one"
        )
    if check:
        paths = (
            board.check(results, out)
            if folder is None
            else site.check(results, folder, site.codecs.loadable())
        )
    elif folder is None:
        paths = board.write(results, out, overwrite)
    else:
        cards = site.codecs.loadable()
        site.folder.check_target(folder)
        if sounds:
            with status("sounds"):
                site.sounds.make(folder)
                site.browser.make(folder)
        paths = site.write(results, folder, cards)
    if not check:
        for path in paths if folder is None else [folder / "index.html"]:
            print(path)
        return
    for path in paths:
        print(f"{path} is not what {results} gives: run `audiotok leaderboard`", file=sys.stderr)
    raise typer.Exit(1 if paths else 0)
