"""The command line: all verbs, in the order of `audiotok --help`.

Verbs import large packages only when they run, so that the help is fast.
"""

from __future__ import annotations

import typer

from audiotok.cli import codecs, coding, compression, measuring, results, training
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
    "export": coding.export,
    "fit-bpe": compression.fit_bpe,
    "reconstruct": coding.reconstruct,
    "list": codecs.list_,
    "info": codecs.info,
    "check": codecs.check,
    "verify": codecs.verify,
    "convert": codecs.convert,
    "train": training.train,
    "train-lm": training.train_lm,
    "train-asr": training.train_asr,
    "judge-lm": training.judge_lm,
    "doctor": codecs.doctor,
}
for name, verb in VERBS.items():
    app.command(name)(verb)


def main() -> None:
    """Entry point: expected errors are printed in one line, with exit code 2."""
    with process.guarded():
        app()
