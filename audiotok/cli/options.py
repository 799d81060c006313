"""Options that several verbs of the command line share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer


def _allow_truncated(context: typer.Context, value: bool) -> None:
    """Sets the environment variable for this process and its children, until the command ends."""
    from audiotok.sound.containers import ALLOW_TRUNCATED

    if value:
        previous = os.environ.get(ALLOW_TRUNCATED, "")
        os.environ[ALLOW_TRUNCATED] = "1"
        context.call_on_close(lambda: os.environ.update({ALLOW_TRUNCATED: previous}))


def _device(context: typer.Context, value: str) -> str:
    """The device that auto stands for; prints it, with the reason, on stderr."""
    if value != "auto" or context.resilient_parsing:
        return value
    from audiotok.codec.devices import automatic

    device, reason = automatic()
    print(f"Device: {device} ({reason}).", file=sys.stderr)
    return str(device)


def codecs(incomplete: str) -> list[str]:
    """Names of codecs, for the completion of a shell."""
    from audiotok.codec import registry

    return [card.name for card in registry.list_codecs() if card.name.startswith(incomplete)]


def shipped(kind: str) -> Callable[[str], list[str]]:
    """A function that completes the names of shipped suites or recipes."""

    def complete(incomplete: str) -> list[str]:
        from audiotok.system import assets

        return [name for name in assets.names(kind) if name.startswith(incomplete)]

    return complete


Tokenizer = Annotated[
    str,
    typer.Option(
        "--tokenizer",
        "-t",
        help="Codec: a name of `audiotok list`, a .py or .safetensors file, or hf:ORG/NAME.",
        autocompletion=codecs,
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", "-c", help="File or folder of weights to load instead of the codec's own."
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        "-d",
        help="Device of the network: cpu, cuda, cuda:1, ..., or auto (a GPU if there is one).",
        callback=_device,
        autocompletion=lambda: ["auto", "cpu", "cuda"],
    ),
]
Out = Annotated[  # text, because a Path drops a slash at the end
    str,
    typer.Option(
        "--out",
        "-o",
        help="Output: a file, or - for stdout; or a folder, which exists or whose name ends in /.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace output files that exist; an input is never replaced."
    ),
]
Overrides = Annotated[list[str] | None, typer.Argument(help="Changes to the recipe: key=value ...")]
Run = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of the run; default: runs/NAME.")
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Fail if there is no run to resume; by default a new one is started."
    ),
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh", help="Start a new run; the folder of an old one is renamed, not deleted."
    ),
]
Cpu = Annotated[bool, typer.Option("--cpu", help="Train on the CPU, even if there is a GPU.")]
Paths = Annotated[list[Path], typer.Argument(help="Sound files, or folders of them; - for stdin.")]
AllowTruncated = Annotated[
    bool,
    typer.Option(
        "--allow-truncated",
        help="Read a truncated sound file as far as it goes, instead of refusing it.",
        callback=_allow_truncated,
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", "-n", help="Use only the first N clips.")]
ModelTokenizer = Annotated[
    str | None,
    typer.Option(
        "--tokenizer", "-t", help="Codec of the tokens; default: the one that the model names."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
