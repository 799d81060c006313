"""The command line: all verbs, in the groups and order of `audiotok --help`.

Verbs import large packages only when they run, so that the help is fast.
"""

from __future__ import annotations

import atexit
import gc
import os
from typing import Annotated

import typer

import audiotok
from audiotok.cli import (
    atok,
    codecs,
    coding,
    compression,
    listing,
    measuring,
    results,
    speech,
    training,
    units,
)  # fmt: skip
from audiotok.system import process

app = typer.Typer(
    name="audiotok",
    help="Turn audio into discrete tokens and back with any codec, and measure the tokens.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

VERBS = {
    "Audio and tokens": {
        "encode": coding.encode,
        "decode": coding.decode,
        "reconstruct": coding.reconstruct,
        "export": coding.export,
        "fit-bpe": compression.fit_bpe,
        "fit-units": units.fit_units,
        "show": atok.show,
        "say": speech.say,
        "generate": speech.generate,
    },
    "Measure and compare codecs": {
        "bench": measuring.bench,
        "compare": results.compare,
        "report": results.report,
    },
    "Publish results": {
        "validate": results.validate,
        "leaderboard": results.leaderboard,
        "model-index": results.model_index,
        "push": results.push,
    },
    "Codecs": {
        "list": codecs.list_,
        "info": codecs.info,
        "new-codec": codecs.new_codec,
        "check": codecs.check,
        "verify": codecs.verify,
        "convert": codecs.convert,
        "export-onnx": codecs.export_onnx,
    },
    "Training": {
        "train": training.train,
        "train-lm": training.train_lm,
        "train-asr": training.train_asr,
        "train-tts": training.train_tts,
        "judge-lm": training.judge_lm,
    },
    "Lists": {
        "tasks": listing.tasks,
        "suites": listing.suites,
        "metrics": listing.metrics,
    },
    "Installation": {
        "doctor": codecs.doctor,
        "cache": listing.cache,
        "completion": listing.completion,
    },
}


def _version(value: bool) -> None:
    if value:
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


for group, verbs in VERBS.items():
    for name, verb in verbs.items():
        app.command(name, rich_help_panel=group)(verb)


def main() -> None:
    """Entry point: expected errors are printed in one line, with exit code 2."""
    # The imported packages have a million objects. Without this, a sixth of the time of a short
    # command is spent on searching them for cycles: while they are created, and at the exit.
    gc.set_threshold(100_000, 20, 10)
    atexit.register(gc.freeze)
    with process.guarded():
        if "_AUDIOTOK_COMPLETE" in os.environ:  # the shell requests completions
            from typer.completion import completion_init

            completion_init()
        app(prog_name="audiotok")
