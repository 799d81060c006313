"""The verbs between sound and tokens: encode, decode, reconstruct, export."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiotok.cli.options import (
    AllowTruncated,
    Checkpoint,
    Device,
    Limit,
    Out,
    Overwrite,
    Paths,
    Tokenizer,
)
from audiotok.errors import AudiotokError
from audiotok.system.interrupts import stopping

if TYPE_CHECKING:
    from audiotok.codec.codec import Codec

Sources = Annotated[
    list[str],
    typer.Argument(
        help="Sound files, or - for stdin; or one corpus: a folder, a manifest, a name, or "
        "hf:NAME[:SPLIT]."
    ),
]


def encode(
    sources: Sources,
    tokenizer: Tokenizer,
    out: Out,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            help="Output format: atok (default for files) or parquet (default for a corpus).",
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that encode, or read for a GPU; default: one per core."),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(
            help="Clips in a forward pass: strict (one), length (some of equal length) or ragged "
            "(some of any length); default: the fastest that the codec can."
        ),
    ] = None,
    batch_seconds: Annotated[
        float | None,
        typer.Option(help="Largest batch in seconds of audio; default: 8 on a CPU, 120 on a GPU."),
    ] = None,
    shard_clips: Annotated[
        int | None, typer.Option(help="Largest number of clips in one shard.")
    ] = None,
    limit: Limit = None,
    executor: Annotated[str, typer.Option(help="Where to encode: local or ray.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Address of the Ray cluster, e.g. auto.")
    ] = None,
    overwrite: Overwrite = False,
    allow_truncated: AllowTruncated = False,
) -> None:
    """Encode sound files to .atok files, or a corpus to parquet shards.

    The same command resumes a stopped run. Exit code 1 if some clips could not be encoded.
    """
    from audiotok.cli import inputs
    from audiotok.system import outputs

    if file_format not in (None, "atok", "parquet"):
        raise AudiotokError(f"the format is 'atok' or 'parquet', not {file_format!r}")
    if file_format is None:
        file_format = "parquet" if _is_corpus(sources, out) else "atok"
    settings = {
        "workers": workers, "batch": batch, "batch_seconds": batch_seconds,
        "shard_clips": shard_clips, "limit": limit, "address": address,
    }  # fmt: skip
    if file_format == "parquet":
        if len(sources) > 1:
            raise AudiotokError(
                f"{len(sources)} inputs for one corpus: give one folder or manifest, or --format "
                "atok for one file each"
            )
        if overwrite:
            raise AudiotokError(
                "--overwrite is for --format atok: a corpus is resumed in its own folder, and "
                "another corpus needs a new folder"
            )
        _encode_corpus(
            sources[0],
            tokenizer,
            out,
            checkpoint=checkpoint,
            device=device,
            executor=executor,
            settings=settings,
        )
        return
    parquet_only = [name for name, value in settings.items() if value is not None]
    if parquet_only or executor != "local":
        name = (parquet_only or ["executor"])[0].replace("_", "-")
        raise AudiotokError(f"--{name} is for --format parquet: files are encoded one by one")
    from audiotok.cli import show, streams

    def find(paths: Sequence[Path], out: str) -> list[tuple[Path, Path]]:
        return inputs.pairs(paths, out, inputs.TOKENS, inputs.SOUND, overwrite)

    with streams.pairs(sources, out, suffix=".atok", expected="a sound file", find=find) as pairs:
        codec = load(tokenizer, checkpoint, device)

        def encode_file(source: Path, target: Path) -> None:
            with show.long(f"encoding {streams.name_of(source)}"):
                tokens = codec.encode(source)
            outputs.prepare(target, overwrite)
            tokens.save(target)
            show.encoded(source, target, tokens)

        convert_all(pairs, encode_file)


def decode(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help=".atok files, folders of them, or a folder of parquet shards; - for stdin."
        ),
    ],
    out: Out,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer", "-t", help="Codec that decodes; default: the one that the tokens name."
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    sample_rate: Annotated[
        int | None,
        typer.Option(
            "--sample-rate",
            "-r",
            help="Sample rate of the output in Hz; default: that of the codec.",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Decode .atok files or parquet shards to sound files, or to stdout as WAV."""
    from audiotok import corpora
    from audiotok.cli import inputs, show, streams
    from audiotok.corpora.shards import is_shards
    from audiotok.sound import audio
    from audiotok.system import outputs
    from audiotok.tokens.tokens import Tokens

    codec = None

    def decode_tokens(target: Path, tokens: Tokens) -> None:
        nonlocal codec
        if tokens.needs:
            raise AudiotokError(
                f"tokens of {tokens.codec} have no decoder: it needs {tokens.needs}"
            )
        if codec is None or (tokenizer is None and codec.card.name != tokens.codec):
            codec = load(tokenizer or tokens.codec, checkpoint, device)
        with show.long(f"decoding to {streams.name_of(target)}"):
            sound = codec.decode(tokens, sample_rate)
        outputs.prepare(target, overwrite)
        audio.write(target, sound)
        show.written(target)

    if len(sources) == 1 and is_shards(sources[0]):
        shards = corpora.Shards(sources[0])
        if not shards.complete:
            count = shards.metadata["shards"]
            print(f"{sources[0]}: only {len(shards.paths)} of {count} shards", file=sys.stderr)
        folder = outputs.folder(out, "several clips")
        outputs.check([folder / f"{name}.wav" for name in shards.ids()], [], overwrite)
        for clip, clip_tokens in shards:
            decode_tokens(folder / f"{clip.id}.wav", clip_tokens)
        return

    def find(paths: Sequence[Path], out: str) -> list[tuple[Path, Path]]:
        return inputs.pairs(paths, out, audio.WRITABLE, inputs.TOKENS, overwrite)

    with streams.pairs(sources, out, suffix=".wav", expected="an .atok file", find=find) as pairs:
        convert_all(pairs, lambda source, target: decode_tokens(target, Tokens.load(source)))


def export(
    folder: Annotated[Path, typer.Argument(help="Folder of parquet shards that `encode` wrote.")],
    webdataset: Annotated[
        Path | None,
        typer.Option("--webdataset", help="New folder to write WebDataset tar files to."),
    ] = None,
    shar: Annotated[
        Path | None, typer.Option("--shar", help="New folder to write Lhotse Shar files to.")
    ] = None,
    megatron: Annotated[
        Path | None,
        typer.Option("--megatron", help="Prefix of the .bin and .idx files to write for Megatron."),
    ] = None,
    clips_per_file: Annotated[
        int | None, typer.Option(help="Largest number of clips in one tar file; default: 10000.")
    ] = None,
    pattern: Annotated[
        str, typer.Option(help="Order of codes in a sequence: interleaved or coarse_first.")
    ] = "interleaved",
    offset: Annotated[int, typer.Option(help="Id of the first code in the vocabulary.")] = 0,
    special: Annotated[str, typer.Option(help="Special ids around a clip, such as bos,eos.")] = "",
    bpe: Annotated[
        Path | None, typer.Option(help="Folder of the tokenizer that `fit-bpe` wrote.")
    ] = None,
    words: Annotated[
        Path | None,
        typer.Option(help="CTM file with the times of words, at which text is interleaved."),
    ] = None,
    text_tokenizer: Annotated[
        Path | None, typer.Option(help="Folder with the tokenizer.json of the text, for --words.")
    ] = None,
    pack: Annotated[
        int | None, typer.Option(help="Pack clips into sequences of this many ids.")
    ] = None,
) -> None:
    """Convert parquet shards to WebDataset, Lhotse Shar or Megatron files.

    WebDataset has codes as .npy and the other columns as .json; Megatron gets sequences of ids,
    which --pattern and the options after it describe.
    """
    from audiotok import corpora
    from audiotok.cli import show
    from audiotok.corpora import sequences
    from audiotok.tokens.bpe import CodeBPE

    targets = {"webdataset": webdataset, "shar": shar, "megatron": megatron}
    chosen = [name for name, target in targets.items() if target is not None]
    if len(chosen) != 1:
        raise AudiotokError(f"give one of {', '.join(f'--{name}' for name in targets)}")
    if (words is None) != (text_tokenizer is None):
        raise AudiotokError("--words and --text-tokenizer are given together")
    layout = sequences.Layout(
        pattern=pattern,
        offset=offset,
        special=tuple(filter(None, special.split(","))),
        bpe=bpe and CodeBPE.load(bpe),
        words=sequences.read_words(words) if words else {},
        text=sequences.text_ids(text_tokenizer) if text_tokenizer else None,
    )
    default_layout = layout == sequences.Layout() and pack is None
    if megatron is None and not default_layout:
        raise AudiotokError(f"--{chosen[0]} holds codes, not sequences: leave out their options")
    if megatron is not None and clips_per_file is not None:
        raise AudiotokError("--clips-per-file is for tar files: leave it out")
    if bpe is not None and (pattern, offset, special) != ("interleaved", 0, ""):
        raise AudiotokError(
            "--bpe has its own pattern, offset and special ids: leave these options out"
        )
    files = {} if clips_per_file is None else {"clips_per_file": clips_per_file}
    with show.EncodeProgress("exporting") as progress:
        progress.start(len(corpora.Shards(folder)), 0)
        if megatron is not None:
            paths = corpora.export_megatron(
                folder, megatron, layout=layout, pack=pack, tick=progress.tick
            )
        else:
            write = corpora.export_shar if webdataset is None else corpora.export_webdataset
            paths = write(folder, webdataset or shar, tick=progress.tick, **files)
    print(*paths, sep="\n")


def convert_all(pairs: Sequence[tuple[Path, Path]], convert: Callable[[Path, Path], None]) -> None:
    """Calls `convert(input, output)` for each pair.

    If one of several files fails, a message names it, the others continue, and the exit code is 1.
    """
    failed = 0
    for source, target in pairs:
        try:
            convert(source, target)
        except AudiotokError as reason:
            if len(pairs) == 1:
                raise
            failed += 1
            print(f"{source} left out: {reason}", file=sys.stderr)
    if failed:
        print(f"{failed} of {len(pairs)} files could not be used", file=sys.stderr)
        raise typer.Exit(1)


def load(name: str, checkpoint: Path | None, device: str) -> Codec:
    """Loads a codec, and prints which codec a family's name stands for."""
    from audiotok.cli import show
    from audiotok.codec import registry

    show.resolved(name)
    return registry.load(name, checkpoint, device, quiet=True)


def _is_corpus(sources: list[str], out: str) -> bool:
    """Whether the sources are one corpus, and not single files."""
    if len(sources) > 1 or Path(out).suffix.lower() == ".atok":
        return False
    path = Path(sources[0])
    if path.is_dir():
        return True
    if path.is_file():
        return path.suffix.lower() in (".tsv", ".csv", ".jsonl")
    from audiotok import data

    return sources[0].startswith("hf:") or sources[0] in data.names()


def _encode_corpus(
    source: str,
    tokenizer: str,
    out: str,
    *,
    checkpoint: Path | None,
    device: str,
    executor: str,
    settings: dict,
) -> None:
    from audiotok import corpora
    from audiotok.cli import show

    show.resolved(tokenizer)
    message = "Stopped. The same command resumes the run."
    with stopping(message), show.EncodeProgress("encoding") as progress:
        encoded = corpora.encode(
            source,
            tokenizer,
            out,
            checkpoint=checkpoint,
            device=device,
            executor=executor,
            progress=progress,
            **settings,
        )
    show.corpus(encoded)
    raise typer.Exit(1 if encoded.failures else 0)


def reconstruct(
    paths: Paths,
    tokenizer: Tokenizer,
    out: Out,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    overwrite: Overwrite = False,
    allow_truncated: AllowTruncated = False,
) -> None:
    """Encode and decode sound files, keeping their sample rate and length."""
    from audiotok.cli import inputs, show, streams
    from audiotok.sound import audio
    from audiotok.system import outputs

    def find(paths: Sequence[Path], out: str) -> list[tuple[Path, Path]]:
        return inputs.pairs(paths, out, audio.WRITABLE, inputs.SOUND, overwrite)

    with streams.pairs(paths, out, suffix=".wav", expected="a sound file", find=find) as pairs:
        codec = load(tokenizer, checkpoint, device)

        def reconstruct_file(source: Path, target: Path) -> None:
            with show.long(f"reconstructing {streams.name_of(source)}"):
                sound = codec.reconstruct(source)
            outputs.prepare(target, overwrite)
            audio.write(target, sound)
            show.written(target)

        convert_all(pairs, reconstruct_file)
