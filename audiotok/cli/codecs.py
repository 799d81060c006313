"""The verbs about codecs themselves: list, info, new-codec, check, verify, convert, doctor."""

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
    """List all codecs with token rate, bitrate, sample rate and size of the download."""
    from audiotok.cli import show
    from audiotok.codec import registry

    cards = registry.list_codecs()
    show.json([show.card_fields(card) for card in cards]) if as_json else show.codecs(cards)


def info(name: Name, as_json: Json = False) -> None:
    """Describe a codec without loading it: rates, codebooks, licences, training data, status."""
    from audiotok.cli import show
    from audiotok.codec import registry

    card = registry.find_card(name)
    show.json(show.card_fields(card)) if as_json else show.card(card)


def new_codec(
    out: Annotated[Path, typer.Argument(metavar="FILE.py", help="File to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Write a Python file with a small working codec, to be replaced by your own."""
    import re

    from audiotok.errors import CodecError
    from audiotok.system import outputs
    from audiotok.system.files import replacing

    name = out.stem.replace("_", "-").lower()
    if out.suffix != ".py" or not re.fullmatch("[a-z][a-z0-9-]*", name):
        raise CodecError(
            f"cannot write {out}: expected a name that begins with a letter, has only letters, "
            "digits, - and _, and ends in .py, such as my_codec.py"
        )
    source = Path(__file__).parents[1] / "codecs" / "_template.py"
    text = source.read_text(encoding="utf-8").replace("my_codec.py", out.name)
    text = text.replace("my-codec", name)
    text = text.replace("MyCodec", "".join(part.capitalize() for part in name.split("-")))
    outputs.check([out], [], overwrite)
    outputs.prepare(out, overwrite)
    with replacing(out, CodecError) as file:
        file.write(text.encode())
    print(out)
    print(f"Next: audiotok check {out}", file=sys.stderr)


def check(
    name: Annotated[
        str,
        typer.Argument(
            help="Codec to check: a name, a .py or .safetensors file, or hf:ORG/NAME.",
            autocompletion=codec_names,
        ),
    ],
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the result to.")] = Path(
        "results"
    ),
    as_json: Json = False,
) -> None:
    """Test a codec against all promises of the interface. Exit code 1 if it breaks one."""
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
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write the result to.")] = Path(
        "results"
    ),
    published: Annotated[
        bool,
        typer.Option(
            "--published", help="Also measure LibriSpeech test-clean and compare; takes hours."
        ),
    ] = False,
    data: Annotated[
        str, typer.Option(help="Corpus or manifest that --published measures.")
    ] = "librispeech/test-clean",
    as_json: Json = False,
) -> None:
    """Compare a codec with stored and published outputs. Exit code 1 if one differs."""
    from audiotok.cli import checking, show
    from audiotok.codec import checkpoints, registry
    from audiotok.harness.suite import load_suite
    from audiotok.results import verified
    from audiotok.testing import record, verification

    card = registry.find_card(name)
    path = checkpoints.resolve(card, checkpoint)
    if not as_json:
        show.weights(card, path, checkpoint is not None)
    codec = checking.load(lambda: coding.load(name, checkpoint, device), name)
    own_weights = checkpoint is not None
    verified.record_path(record.name(codec, own_weights), out)  # fail before the checks run
    comparisons = verification.comparisons(codec, fetch=published)
    outcomes = checking.run_checks(codec)
    if published:
        with show.BenchProgress(load_suite(verification.SUITE).headline) as progress:
            comparisons += verification.published_numbers(
                name,
                checkpoint=checkpoint,
                data=data,
                out=out,
                device=device,
                observer=progress,
            )
    content = verification.content(
        codec, comparisons, outcomes, weights=path, own_weights=own_weights
    )
    record_path = verified.write(content, out)
    if as_json:
        show.json(content)
    else:
        checking.table(codec, outcomes)
        checking.comparison_table(codec, comparisons)
    print(f"Written: {record_path}", file=sys.stderr)
    raise typer.Exit(1 if content["broken"] or content["different"] else 0)


def convert(
    name: Annotated[str, typer.Argument(help="Codec that the checkpoint belongs to.")],
    checkpoint: Annotated[Path, typer.Argument(help="Official checkpoint, or trained weights.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write; its name ends in .safetensors.")
    ],
    half: Annotated[bool, typer.Option("--half", help="Store float16 instead of float32.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Convert an official checkpoint or trained weights to safetensors."""
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


def export_onnx(
    name: Name,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
    checkpoint: Checkpoint = None,
    half: Annotated[
        bool, typer.Option("--half", help="Store float16 instead of float32; some codes change.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write encoder, quantizer and decoder of a codec as ONNX, for runtimes without PyTorch."""
    from audiotok.codec import onnx_graphs
    from audiotok.system import outputs

    files = [out / file for file in (*onnx_graphs.GRAPHS, onnx_graphs.ABOUT)]
    inputs = [name.partition(":")[0], *filter(None, [checkpoint])]
    outputs.check(files, inputs, overwrite)
    for path in onnx_graphs.write(coding.load(name, checkpoint, "cpu"), out, half):
        print(path)


def doctor() -> None:
    """Report devices, installed and missing packages, bundled files, and which tasks can run."""
    from audiotok.cli import doctor as report

    print("\n".join(report.lines()))
