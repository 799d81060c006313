"""The verbs of training: train, train-lm, train-asr, train-tts; and judge-lm, which evaluates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiotok.cli.options import (
    Checkpoint,
    Cpu,
    Device,
    Fresh,
    Json,
    ModelTokenizer,
    Overrides,
    Resume,
    Run,
    shipped,
)
from audiotok.system.interrupts import stopping


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="Recipe: a name (`audiotok doctor` lists them) or a YAML file.",
            autocompletion=shipped("recipes"),
        ),
    ],
    overrides: Overrides = None,
    out: Run = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Run ten steps, report shapes, memory, speed and total time; keep nothing.",
        ),
    ] = False,
    resume: Resume = False,
    fresh: Fresh = False,
    cpu: Cpu = False,
) -> None:
    """Train a codec from a recipe, or resume a stopped run.

    `train finetune axes.learns=decoder start_from=NAME` trains the decoder of any codec alone: its
    codes and its fingerprint stay.

    Several GPUs: accelerate launch -m audiotok train ...
    """
    from audiotok import training
    from audiotok.cli import show
    from audiotok.errors import RecipeError
    from audiotok.system import assets

    path = assets.find("recipes", recipe, RecipeError)
    if dry_run:
        report = training.dry_run(path, overrides or (), cpu)
        print("\n".join(report if show.first_process() else []))
        return
    _train(training, path, overrides=overrides, out=out, fresh=fresh, resume=resume, cpu=cpu)


def train_lm(
    recipe: Annotated[str, typer.Argument(help="Recipe: speech-lm, mini-lm or a YAML file.")],
    overrides: Overrides = None,
    out: Run = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Report parameters, audio per step and memory; train nothing."
        ),
    ] = False,
    resume: Resume = False,
    fresh: Fresh = False,
    cpu: Cpu = False,
) -> None:
    """Train a language model on tokens from a recipe, or resume a stopped run."""
    from audiotok.errors import RecipeError
    from audiotok.speech_lm import recipe as recipes
    from audiotok.speech_lm import training
    from audiotok.system import assets

    path = assets.find(recipes.KIND, recipe, RecipeError)
    if dry_run:
        print("\n".join(training.dry_run(path, overrides or ())))
        return
    _train(training, path, overrides=overrides, out=out, fresh=fresh, resume=resume, cpu=cpu)


def train_asr(
    recipe: Annotated[str, typer.Argument(help="Recipe: asr-mini or a YAML file.")],
    overrides: Overrides = None,
    out: Run = None,
    resume: Resume = False,
    fresh: Fresh = False,
    cpu: Cpu = False,
) -> None:
    """Train a small ASR model, the teacher of semantic codecs, or resume a stopped run."""
    from audiotok.errors import RecipeError
    from audiotok.recogniser import recipe as recipes
    from audiotok.recogniser import training
    from audiotok.system import assets

    path = assets.find(recipes.KIND, recipe, RecipeError)
    _train(training, path, overrides=overrides, out=out, fresh=fresh, resume=resume, cpu=cpu)


def train_tts(
    recipe: Annotated[
        str,
        typer.Argument(help="Recipe: a name (valle-r-ar, valle-nar, resgen-mini) or a YAML file."),
    ],
    overrides: Overrides = None,
    out: Run = None,
    resume: Resume = False,
    fresh: Fresh = False,
    cpu: Cpu = False,
) -> None:
    """Train a model that speaks a text, or resume a stopped run.

    Codes and phones of the corpus are made first.
    """
    from audiotok.errors import RecipeError
    from audiotok.system import assets
    from audiotok.tts import recipe as recipes
    from audiotok.tts import training

    path = assets.find(recipes.KIND, recipe, RecipeError)
    _train(training, path, overrides=overrides, out=out, fresh=fresh, resume=resume, cpu=cpu)


def _train(training, path, *, overrides, out, fresh: bool, resume: bool, cpu: bool) -> None:
    """Runs the training of one of the modules, with a progress bar."""
    from audiotok.cli import show
    from audiotok.errors import RecipeError

    if fresh and resume:
        raise RecipeError("--fresh starts a new run and --resume an old one: give one of them")
    message = "Stopped. The same command resumes from the last checkpoint."
    with stopping(message), show.TrainProgress() as progress:
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


def judge_lm(
    model: Annotated[Path, typer.Argument(help="File model.safetensors that `train-lm` wrote.")],
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of sound pairs: sWUGGY, sBLIMP, StoryCloze, SALMon, or with a pairs.tsv."
        ),
    ],
    tokenizer: ModelTokenizer = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure how often a token language model prefers the right sound of a pair."""
    from audiotok.cli import show
    from audiotok.speech_lm import trained

    with show.TrainProgress() as progress:
        results = trained.judge(
            model,
            folders,
            checkpoint=checkpoint,
            device=device,
            tokenizer=tokenizer,
            report=progress.report,
        )
    if as_json:
        show.json({kind: vars(judged) for kind, judged in results.items()})
        return
    for kind, judged in results.items():
        interval = f"[{judged.low:.3f}, {judged.high:.3f}]"
        print(f"{kind}: {judged.accuracy:.3f} {interval} of {judged.groups} pairs")
