"""The verb bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiotok.cli.options import AllowTruncated, Checkpoint, Device
from audiotok.errors import AudiotokError
from audiotok.system.interrupts import stopping


def bench(
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer", "-t", help="Codecs, separated by commas; none with -s samples."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="bundled, a folder, a manifest, librispeech/<split>; else the suite's."),
    ] = None,
    suite: Annotated[str, typer.Option("--suite", "-s", help="A suite, or a YAML file.")] = "smoke",
    limit: Annotated[int | None, typer.Option("--limit", "-n", help="Only so many clips.")] = None,
    tasks: Annotated[str | None, typer.Option(help="Only these, separated by commas.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of results.")] = Path("results"),
    device: Device = "cpu",
    checkpoint: Checkpoint = None,
    workers: Annotated[int | None, typer.Option(help="Processes that score.")] = None,
    baselines: Annotated[bool, typer.Option(help="Measure the suite's baselines too.")] = True,
    only_missing: Annotated[
        bool, typer.Option("--only-missing", help="Keep finished results, whatever changed since.")
    ] = False,
    only_cache: Annotated[
        bool, typer.Option("--only-cache", help="Run no codec: score what the cache holds.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure anew: use no result and no cache.")
    ] = False,
    executor: Annotated[str, typer.Option(help="Who scores: local, or ray.")] = "local",
    address: Annotated[str | None, typer.Option(help="Of the Ray cluster, e.g. auto.")] = None,
    allow_truncated: AllowTruncated = False,
) -> None:
    """Measure codecs, with the reference, classical baselines and random codes for comparison."""
    from audiotok.cli import show
    from audiotok.codec import registry
    from audiotok.harness import harness
    from audiotok.harness.settings import BenchSettings
    from audiotok.harness.suite import load_suite

    flags = {"only-missing": only_missing, "only-cache": only_cache, "fresh": fresh}
    chosen_flags = [flag for flag, given in flags.items() if given]
    if len(chosen_flags) > 1:
        raise AudiotokError(f"--{' and --'.join(chosen_flags)} exclude each other: give one")
    settings = BenchSettings(
        tokenizer=() if tokenizer is None else tokenizer,
        checkpoint=checkpoint,
        baselines=baselines,
        suite=suite,
        tasks=None if tasks is None else [name.strip() for name in tasks.split(",")],
        data=data,
        limit=limit,
        out=out,
        device=device,
        workers=workers,
        executor=executor,
        address=address,
        reuse=next(iter(chosen_flags), None),
    )
    headline = load_suite(suite).headline
    for name in settings.tokenizer:
        show.resolved(registry.expand(name)[0])
    how = "starts again" if fresh else "resumes the run"
    with stopping(f"Stopped. The same command {how}."), show.BenchProgress(headline) as progress:
        bench_results = harness.run(settings, progress)
    show.bench_table(bench_results, headline)
    incomplete = any(result.failed_for_now or result.is_empty for result in bench_results)
    raise typer.Exit(1 if incomplete else 0)
