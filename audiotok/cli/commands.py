"""The command line: all verbs, in the order of `audiotok --help`.

Verbs import large packages only when they run, so that the help is fast.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

import audiotok
from audiotok.cli import atok, codecs, coding, listing, measuring, results, training
from audiotok.system import process

app = typer.Typer(
    name="audiotok",
    help="Encode sound to discrete tokens and back with any codec, and measure the tokens.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

VERBS = {
    "bench": measuring.bench,
    "leaderboard": results.leaderboard,
    "compare": results.compare,
    "validate": results.validate,
    "report": results.report,
    "model-index": results.model_index,
    "encode": coding.encode,
    "decode": coding.decode,
    "reconstruct": coding.reconstruct,
    "show": atok.show,
    "export": coding.export,
    "list": codecs.list_,
    "info": codecs.info,
    "check": codecs.check,
    "verify": codecs.verify,
    "convert": codecs.convert,
    "train": training.train,
    "train-lm": training.train_lm,
    "train-asr": training.train_asr,
    "judge-lm": training.judge_lm,
    "tasks": listing.tasks,
    "suites": listing.suites,
    "metrics": listing.metrics,
    "cache": listing.cache,
    "doctor": codecs.doctor,
    "completion": listing.completion,
}


def _version(asked: bool) -> None:
    if asked:
        print(f"audiotok {audiotok.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    pass


for name, verb in VERBS.items():
    app.command(name)(verb)


def main() -> None:
    """Entry point: expected errors are printed in one line, with exit code 2."""
    with process.guarded():
        if "_AUDIOTOK_COMPLETE" in os.environ:  # the shell asks what may follow
            from typer.completion import completion_init

            completion_init()
        app(prog_name="audiotok")
