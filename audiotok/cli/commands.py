"""The command line. Verbs import what is heavy when they run: `audiotok --help` stays instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from audiotok.cli import coding, results
from audiotok.cli.options import (
    AllowTruncated,
    Checkpoint,
    Cpu,
    Device,
    Fresh,
    Out,
    Overrides,
    Overwrite,
    Paths,
    Resume,
    Run,
    Tokenizer,
)
from audiotok.errors import AudiotokError
from audiotok.system import process
from audiotok.system.interrupts import stopping

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
    with process.guarded():
        app()


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
    allow_truncated: AllowTruncated = False,
) -> None:
    """Measure codecs beside the reference, classical baselines and random codes."""
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
    overwrite: Overwrite = False,
) -> None:
    """Write LEADERBOARD.md and leaderboard.csv, or the site, from the results alone."""
    from audiotok.report import leaderboard as board
    from audiotok.report import site

    if overwrite and (check or folder is not None):
        raise AudiotokError(
            "--overwrite is for the two files: --check writes nothing, and a site "
            "goes on in its own folder, any other needs a new one"
        )
    if check:
        paths = board.check(results, out) if folder is None else site.check(results, folder)
    elif folder is None:
        paths = board.write(results, out, overwrite)
    else:
        paths = site.write(results, folder)
    if not check:
        for path in paths if folder is None else [folder / "index.html"]:
            print(path)
        return
    for path in (wrong := paths):
        print(f"{path} is not what {results} gives: run `audiotok leaderboard`", file=sys.stderr)
    raise typer.Exit(1 if wrong else 0)


for verb in (
    results.compare,
    results.validate,
    results.report,
    results.model_index,
    coding.encode,
    coding.decode,
    coding.export,
):
    app.command()(verb)


@app.command()
def reconstruct(
    paths: Paths, tokenizer: Tokenizer, out: Out, checkpoint: Checkpoint = None,
    device: Device = "cpu", overwrite: Overwrite = False,
    allow_truncated: AllowTruncated = False,
) -> None:  # fmt: skip
    """Sound files through a codec, at their own sample rate and length."""
    from audiotok.cli import inputs
    from audiotok.sound import audio
    from audiotok.system import outputs

    pairs = inputs.pairs(paths, out, audio.WRITABLE, inputs.SOUND, overwrite)
    codec = coding.load(tokenizer, checkpoint, device)

    def make(source: Path, target: Path) -> None:
        sound = codec.reconstruct(source)
        outputs.prepare(target, overwrite)
        audio.write(target, sound)
        print(target)

    coding.each(pairs, make)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """All codecs that can be named."""
    from audiotok.cli import show
    from audiotok.codec import registry

    cards = registry.list_codecs()
    show.json([show.card_fields(card) for card in cards]) if as_json else show.codecs(cards)


@app.command()
def info(name: str, as_json: Json = False) -> None:
    """All that is known of a codec, without loading it."""
    from audiotok.cli import show
    from audiotok.codec import registry

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
    from audiotok.cli import checking, show
    from audiotok.testing import record

    codec = checking.load(lambda: coding.load(name, checkpoint, device), name)
    record.place(record.name(codec, checkpoint is not None), out)  # before anything is tried
    found = checking.examined(codec)
    content, path = checking.written(codec, found, out, checkpoint is not None)
    show.json(content) if as_json else checking.table(codec, found)
    print(f"Written: {path}", file=sys.stderr)
    raise typer.Exit(1 if content["broken"] else 0)


@app.command()
def verify(name: str, checkpoint: Checkpoint = None, device: Device = "cpu") -> None:
    """Get the weights of a codec, check their hash, load them, and check what codecs promise."""
    from audiotok.cli import checking, show
    from audiotok.codec import checkpoints, registry

    card = registry.find_card(name)
    path = checkpoints.resolve(card, checkpoint)
    show.weights(card, path, checkpoint is not None)
    codec = checking.load(lambda: coding.load(name, checkpoint, device), name)
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
    overwrite: Overwrite = False,
) -> None:
    """Write an official checkpoint, or trained weights, as safetensors."""
    from audiotok.errors import CodecError
    from audiotok.system import outputs

    if out.suffix.lower() != ".safetensors":
        raise CodecError(f"cannot write {out}: expected a name that ends in .safetensors")
    outputs.check([out], [name.partition(":")[0], checkpoint], overwrite)
    codec = coding.load(name, checkpoint, "cpu")
    outputs.check([out], [codec.checkpoint or checkpoint], overwrite)
    if not hasattr(codec, "save"):
        if codec.network is None:
            raise CodecError(f"{codec.card.name} has no weights to write")
        raise CodecError(
            f"weights of {codec.card.family} are not converted: {codec.card.name} loads the "
            "official file as it is, with --checkpoint"
        )
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
    from audiotok import training
    from audiotok.cli import show
    from audiotok.errors import RecipeError
    from audiotok.system import assets

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
    from audiotok.errors import RecipeError
    from audiotok.speech_lm import recipe as recipes
    from audiotok.speech_lm import training
    from audiotok.system import assets

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
    from audiotok.errors import RecipeError
    from audiotok.recogniser import recipe as recipes
    from audiotok.recogniser import training
    from audiotok.system import assets

    path = assets.find(recipes.KIND, recipe, RecipeError)
    _go(training, path, overrides=overrides, out=out, fresh=fresh, resume=resume, cpu=cpu)


def _go(training, path, *, overrides, out, fresh: bool, resume: bool, cpu: bool) -> None:
    """A run of one of the modules that train, with its progress."""
    from audiotok.cli import show
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
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", "-t", help="Default: what the model names.")
    ] = None,
    checkpoint: Checkpoint = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """How often a language model of tokens finds the right sound of a pair likelier."""
    from audiotok.cli import show
    from audiotok.speech_lm import trained

    with show.TrainProgress() as progress:
        found = trained.judge(
            model,
            folders,
            checkpoint=checkpoint,
            device=device,
            tokenizer=tokenizer,
            report=progress.report,
        )
    if as_json:
        show.json({kind: vars(judged) for kind, judged in found.items()})
        return
    for kind, of in found.items():
        print(f"{kind}: {of.accuracy:.3f} [{of.low:.3f}, {of.high:.3f}] of {of.groups} pairs")


@app.command()
def doctor() -> None:
    """What is installed, what is missing and how to get it, devices, bundled files."""
    from audiotok.cli import doctor as physician

    print("\n".join(physician.lines()))
