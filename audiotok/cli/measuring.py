"""The verb bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiotok.cli.options import AllowTruncated, Checkpoint, Device, Limit, codecs, shipped
from audiotok.errors import AudiotokError
from audiotok.system.interrupts import stopping


def bench(
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer",
            "-t",
            help="Codecs to measure, separated by commas; none with -s samples.",
            autocompletion=codecs,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Corpus: a folder, a manifest, or a name such as librispeech/test-clean; default: "
            "that of the suite."
        ),
    ] = None,
    suite: Annotated[
        str,
        typer.Option(
            "--suite",
            "-s",
            help="Suite of tasks: a name or a YAML file (docs/suites.md).",
            autocompletion=shipped("benchmarks"),
        ),
    ] = "smoke",
    limit: Limit = None,
    tasks: Annotated[
        str | None,
        typer.Option(help="Run only these tasks of the suite or others, separated by commas."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of results.")] = Path("results"),
    device: Device = "auto",
    checkpoint: Checkpoint = None,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Processes that score; 0: the main process; default: one per core, at most 8."
        ),
    ] = None,
    baselines: Annotated[
        bool, typer.Option(help="Also measure the baselines of the suite.")
    ] = True,
    only_missing: Annotated[
        bool,
        typer.Option(
            "--only-missing",
            help="Keep every finished result, even if code or packages changed since.",
        ),
    ] = False,
    only_cache: Annotated[
        bool,
        typer.Option(
            "--only-cache", help="Run no codec: compute scores from what is in the cache."
        ),
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh", help="Measure everything again: use no earlier result and no cache."
        ),
    ] = False,
    random_weights: Annotated[
        bool,
        typer.Option(
            "--random-weights",
            help="Try the codecs out on random weights instead of downloading; nothing is kept.",
        ),
    ] = False,
    executor: Annotated[
        str, typer.Option(help="Where scores are computed: local or ray.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Address of the Ray cluster, e.g. auto.")
    ] = None,
    allow_truncated: AllowTruncated = False,
) -> None:
    """Measure codecs, beside the original recordings, classical baselines and random codes.

    Writes one folder of results per codec and prints a table. A run that was stopped continues with
    the same command. Exit code 1 if clips have to be tried again.
    """
    from audiotok.cli import show
    from audiotok.codec import registry
    from audiotok.harness import harness
    from audiotok.harness.settings import BenchSettings
    from audiotok.harness.suite import load_suite

    flags = {"only-missing": only_missing, "only-cache": only_cache, "fresh": fresh}
    chosen_flags = [flag for flag, is_set in flags.items() if is_set]
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
        random_weights=random_weights,
    )
    headline = load_suite(suite).headline
    for name in settings.tokenizer:
        show.resolved(registry.expand(name)[0])
    outcome = "starts again" if fresh else "resumes the run"
    with (
        stopping(f"Stopped. The same command {outcome}."),
        show.BenchProgress(headline) as progress,
    ):
        bench_results = harness.run(settings, progress)
    show.bench_table(bench_results, headline, kept=not random_weights)
    incomplete = any(result.transient_failures or result.is_empty for result in bench_results)
    raise typer.Exit(1 if incomplete else 0)
