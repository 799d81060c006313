"""The verbs about codecs themselves: list, info, check, verify, convert, doctor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from audiotok.cli import coding
from audiotok.cli.options import Checkpoint, Device, Json, Overwrite
from audiotok.cli.options import codecs as codec_names

Name = Annotated[str, typer.Argument(help="Name of a codec.", autocompletion=codec_names)]


def list_(as_json: Json = False) -> None:
    """List all codecs."""
    from audiotok.cli import show
    from audiotok.codec import registry

    cards = registry.list_codecs()
    show.json([show.card_fields(card) for card in cards]) if as_json else show.codecs(cards)


def info(name: Name, as_json: Json = False) -> None:
    """Show the card of a codec, without loading it."""
    from audiotok.cli import show
    from audiotok.codec import registry

    card = registry.find_card(name)
    show.json(show.card_fields(card)) if as_json else show.card(card)


def check(
    name: Annotated[
        str,
        typer.Argument(
            help="A codec, a .py or .safetensors file, or hf:...", autocompletion=codec_names
        ),
    ],
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of results.")] = Path("results"),
    as_json: Json = False,
) -> None:
    """Check that a codec keeps all promises of the interface: exit code 1 if it breaks one."""
    from audiotok.cli import checking, show
    from audiotok.testing import record

    codec = checking.load(lambda: coding.load(name, checkpoint, device), name)
    record.place(record.name(codec, checkpoint is not None), out)  # fail before the checks run
    outcomes = checking.run_checks(codec)
    content, path = checking.write_results(codec, outcomes, out, checkpoint is not None)
    show.json(content) if as_json else checking.table(codec, outcomes)
    print(f"Written: {path}", file=sys.stderr)
    raise typer.Exit(1 if content["broken"] else 0)


def verify(
    name: Name,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of results.")] = Path("results"),
    published: Annotated[
        bool, typer.Option("--published", help="Measure LibriSpeech test-clean too, for hours.")
    ] = False,
    data: Annotated[
        str, typer.Option(help="For --published: the corpus, or a manifest of it.")
    ] = "librispeech/test-clean",
    as_json: Json = False,
) -> None:
    """Compare a codec with golden outputs and published ones: exit code 1 if one differs."""
    from audiotok.cli import checking, show
    from audiotok.codec import checkpoints, registry
    from audiotok.results import verified
    from audiotok.testing import record, verification

    card = registry.find_card(name)
    path = checkpoints.resolve(card, checkpoint)
    if not as_json:
        show.weights(card, path, checkpoint is not None)
    codec = checking.load(lambda: coding.load(name, checkpoint, device), name)
    own_weights = checkpoint is not None
    verified.record_path(record.name(codec, own_weights), out)  # fail before the checks run
    compared = verification.comparisons(codec, fetch=published)
    outcomes = checking.run_checks(codec)
    if published:
        compared += verification.published_numbers(
            name, checkpoint=checkpoint, data=data, out=out, device=device
        )
    content = verification.content(codec, compared, outcomes, weights=path, own_weights=own_weights)
    written = verified.write(content, out)
    if as_json:
        show.json(content)
    else:
        checking.table(codec, outcomes)
        checking.compared(codec, compared)
    print(f"Written: {written}", file=sys.stderr)
    raise typer.Exit(1 if content["broken"] or content["different"] else 0)


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
            f"weights of {codec.card.family} need no conversion: {codec.card.name} loads the "
            "official file with --checkpoint"
        )
    codec.save(out, half)
    print(out)


def doctor() -> None:
    """Show what is installed, what is missing and how to get it, devices, bundled files."""
    from audiotok.cli import doctor as report

    print("\n".join(report.lines()))
