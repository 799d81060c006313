"""The command line as a whole: its verbs, in the order in which `audiotok --help` lists them.

Verbs import what is heavy when they run: the help stays instant.
"""

from __future__ import annotations

import typer

from audiotok.cli import codecs, coding, measuring, results, training
from audiotok.system import process

app = typer.Typer(
    name="audiotok",
    help="Any sound into discrete tokens and back, with any codec, and how good the tokens are.",
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
    """Entry point: what a user can mend is one line and exit code 2."""
    with process.guarded():
        app()
