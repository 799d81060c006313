"""The command line. Verbs import what is heavy when they run: `audiotok --help` stays instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from audiotok import cli_corpora, cli_results
from audiotok.cli_options import (
    Checkpoint,
    Cpu,
    Device,
    Fresh,
    Out,
    Overrides,
    Paths,
    Resume,
    Run,
    Tokenizer,
)
from audiotok.errors import AudiotokError
from audiotok.interrupts import stopping

app = typer.Typer(
    name="audiotok",
    help="Any sound into discrete tokens and back, with any codec, and how good the tokens are.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="As JSON.")]


def main() -> None:
    """Entry point: what a user can mend is one line and exit code 2."""
    try:
        app()
    except AudiotokError as error:
        print(f"audiotok: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


@app.command()
def bench(
    tokenizer: Annotated[
        str, typer.Option("--tokenizer", "-t", help="Codecs, separated by commas.")
    ],
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
) -> None:
    """Measure codecs beside the reference, classical baselines and random codes."""
    from audiotok import harness, registry, show
    from audiotok.settings import BenchSettings
    from audiotok.suite import load_suite

    flags = {"only-missing": only_missing, "only-cache": only_cache, "fresh": fresh}
    chosen_flags = [flag for flag, given in flags.items() if given]
    if len(chosen_flags) > 1:
        raise AudiotokError(f"--{' and --'.join(chosen_flags)} exclude each other: give one")
    settings = BenchSettings(
        tokenizer=tokenizer,
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
    how = "measures anew" if fresh else "goes on where it stopped"
    with stopping(f"Stopped. The same command {how}."), show.BenchProgress() as progress:
        found = harness.run(settings, progress)
    show.bench_table(found, headline)
    incomplete = any(result.failed_for_now or result.is_empty for result in found)
    raise typer.Exit(1 if incomplete else 0)


@app.command()
def leaderboard(
    results: Annotated[Path, typer.Option("--results", "-r", help="Folder of results.")] = Path(
        "results"
    ),
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the two files.")] = Path("."),
    folder: Annotated[
        Path | None, typer.Option("--site", help="Folder for the static site, instead of the two.")
    ] = None,
    check: Annotated[bool, typer.Option(help="Write nothing; fail if they differ.")] = False,
) -> None:
    """Write LEADERBOARD.md and leaderboard.csv, or the site, from the results alone."""
    from audiotok import leaderboard as board
    from audiotok import site

    if folder is not None:
        paths = (site.check if check else site.write)(results, folder)
    else:
        paths = (board.check if check else board.write)(results, out)
    if not check:
        for path in paths if folder is None else [folder / "index.html"]:
            print(path)
        return
    for path in (wrong := paths):
        print(f"{path} is not what {results} gives: run `audiotok leaderboard`", file=sys.stderr)
    raise typer.Exit(1 if wrong else 0)


for verb in (
    cli_results.compare,
    cli_results.validate,
    cli_results.report,
    cli_results.model_index,
    cli_corpora.encode,
    cli_corpora.decode,
    cli_corpora.export,
):
    app.command()(verb)


@app.command()
def reconstruct(
    paths: Paths, tokenizer: Tokenizer, out: Out, checkpoint: Checkpoint = None,
    device: Device = "cpu",
) -> None:  # fmt: skip
    """Sound files through a codec, at their own sample rate and length."""
    from audiotok import audio, inputs

    pairs = inputs.pairs(paths, out, ".wav", inputs.SOUND)
    codec = cli_corpora.load(tokenizer, checkpoint, device)
    for source, target in pairs:
        audio.write(target, codec.reconstruct(source))
        print(target)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """All codecs that can be named."""
    from audiotok import registry, show

    cards = registry.list_codecs()
    show.json([show.card_fields(card) for card in cards]) if as_json else show.codecs(cards)


@app.command()
def info(name: str, as_json: Json = False) -> None:
    """All that is known of a codec, without loading it."""
    from audiotok import registry, show

    card = registry.find_card(name)
    show.json(show.card_fields(card)) if as_json else show.card(card)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A codec, a .py or .safetensors file, or hf:...")],
    checkpoint: Checkpoint = None,
    device: Device = "cpu",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of results.")] = Path("results"),
    as_json: Json = False,
) -> None:
    """Try all that codecs promise on this one: exit code 1 where it breaks a promise."""
    from audiotok import checking, show

    codec = checking.load(lambda: cli_corpora.load(name, checkpoint, device), name)
    found = checking.examined(codec)
    content, path = checking.written(codec, found, out, checkpoint is not None)
    show.json(content) if as_json else checking.table(codec, found)
    print(f"Written: {path}", file=sys.stderr)
    raise typer.Exit(1 if content["broken"] else 0)


@app.command()
def verify(name: str, checkpoint: Checkpoint = None, device: Device = "cpu") -> None:
    """Get the weights of a codec, check their hash, load them, and check what codecs promise."""
    from audiotok import checking, checkpoints, registry, show

    card = registry.find_card(name)
    path = checkpoints.resolve(card, checkpoint)
    show.weights(card, path, checkpoint is not None)
    codec = checking.load(lambda: cli_corpora.load(name, checkpoint, device), name)
    print(f"loads strictly; fingerprint {codec.fingerprint[:16]}…")
    found = checking.examined(codec)
    checking.table(codec, found)
    raise typer.Exit(1 if any(outcome.state == "broken" for outcome in found) else 0)


@app.command()
def convert(
    name: str,
    checkpoint: Annotated[Path, typer.Argument(help="An official checkpoint.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write, .safetensors.")],
    half: Annotated[bool, typer.Option("--half", help="As float16.")] = False,
) -> None:
    """Write an official checkpoint, or trained weights, as safetensors."""
    from audiotok.errors import CodecError

    codec = cli_corpora.load(name, checkpoint, "cpu")
    if not hasattr(codec, "save"):
        raise CodecError(f"{codec.card.name} has no weights to write")
    codec.save(out, half)
    print(out)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe that ships, or a YAML file.")],
    overrides: Overrides = None,
    out: Run = None,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Ten steps: shapes, memory, speed, time; keeps none.")
    ] = False,
    resume: Resume = False,
    fresh: Fresh = False,
    cpu: Cpu = False,
) -> None:
    """Train a codec by a recipe; a run that was stopped goes on. Many GPUs: accelerate launch."""
    from audiotok import assets, show, training
    from audiotok.errors import RecipeError

    path = assets.find("recipes", recipe, RecipeError)
    if dry:
        report = training.dry_run(path, overrides or (), cpu)
        print("\n".join(report if show.first_process() else []))
        return
    _go(training, path, overrides=overrides, out=out, fresh=fresh, resume=resume, cpu=cpu)


@app.command("train-lm")
def train_lm(
    recipe: Annotated[str, typer.Argument(help="speech-lm, mini-lm, or a YAML file.")],
    overrides: Overrides = None,
    out: Run = None,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Parameters, sound in a step, memory; trains nothing.")
    ] = False,
    resume: Resume = False,
    fresh: Fresh = False,
    cpu: Cpu = False,
) -> None:
    """Train a language model of tokens by a recipe; a run that was stopped goes on."""
    from audiotok import assets
    from audiotok.errors import RecipeError
    from audiotok.speech_lm import recipe as recipes
    from audiotok.speech_lm import training

    path = assets.find(recipes.KIND, recipe, RecipeError)
    if dry:
        print("\n".join(training.dry_run(path, overrides or ())))
        return
    _go(training, path, overrides=overrides, out=out, fresh=fresh, resume=resume, cpu=cpu)


@app.command("train-asr")
def train_asr(
    recipe: Annotated[str, typer.Argument(help="asr-mini, or a YAML file.")],
    overrides: Overrides = None,
    out: Run = None,
    resume: Resume = False,
    fresh: Fresh = False,
    cpu: Cpu = False,
) -> None:
    """Train a small recogniser, whose encoder can teach codecs; a run that was stopped goes on."""
    from audiotok import assets
    from audiotok.errors import RecipeError
    from audiotok.recogniser import recipe as recipes
    from audiotok.recogniser import training

    path = assets.find(recipes.KIND, recipe, RecipeError)
    _go(training, path, overrides=overrides, out=out, fresh=fresh, resume=resume, cpu=cpu)


def _go(training, path, *, overrides, out, fresh: bool, resume: bool, cpu: bool) -> None:
    """A run of one of the modules that train, with its progress."""
    from audiotok import show
    from audiotok.errors import RecipeError

    if fresh and resume:
        raise RecipeError("--fresh starts anew and --resume goes on: give one of them")
    how = "Stopped. The same command goes on from the last checkpoint."
    with stopping(how), show.TrainProgress() as progress:
        weights = training.train(
            path,
            overrides or (),
            out,
            report=progress.report,
            note=progress.note,
            fresh=fresh,
            resume=resume,
            cpu=cpu,
        )
    if show.first_process():
        print(weights)


@app.command("judge-lm")
def judge_lm(
    model: Annotated[Path, typer.Argument(help="model.safetensors that `train-lm` wrote.")],
    folders: Annotated[
        list[Path], typer.Argument(help="Of pairs: sWUGGY, sBLIMP, StoryCloze, SALMon, pairs.tsv.")
    ],
    checkpoint: Checkpoint = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """How often a language model of tokens finds the right sound of a pair likelier."""
    from audiotok import show
    from audiotok.speech_lm import trained

    with show.TrainProgress() as progress:
        found = trained.judge(
            model, folders, checkpoint=checkpoint, device=device, report=progress.report
        )
    if as_json:
        show.json({kind: vars(judged) for kind, judged in found.items()})
        return
    for kind, of in found.items():
        print(f"{kind}: {of.accuracy:.3f} [{of.low:.3f}, {of.high:.3f}] of {of.groups} pairs")


@app.command()
def doctor() -> None:
    """What is installed, what is missing and how to get it, devices, bundled files."""
    from audiotok import doctor as physician

    print("\n".join(physician.lines()))
