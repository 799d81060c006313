"""Options that several verbs of the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Tokenizer = Annotated[
    str, typer.Option("--tokenizer", "-t", help="Name of a codec (`audiotok list`), or a .py file.")
]
Checkpoint = Annotated[
    Path | None, typer.Option("--checkpoint", "-c", help="Weights to use instead of the codec's.")
]
Device = Annotated[str, typer.Option("--device", "-d", help="cpu, cuda, cuda:1, or auto.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="File, or folder for several inputs.")]
Paths = Annotated[list[Path], typer.Argument(help="Files, or folders of them.")]
