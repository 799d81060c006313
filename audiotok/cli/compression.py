"""The verb fit-bpe: a tokenizer of Hugging Face over codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def fit_bpe(
    folder: Annotated[Path, typer.Argument(help="Folder of parquet shards that `encode` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder to write the tokenizer to.")],
    vocab_size: Annotated[int, typer.Option(help="Size of the vocabulary, codes included.")],
    num_codebooks: Annotated[int | None, typer.Option(help="Use only the first codebooks.")] = None,
    max_frames: Annotated[
        int | None, typer.Option(help="Largest number of frames in one token.")
    ] = None,
    special: Annotated[
        str, typer.Option(help="Special tokens to add, such as bos,eos,pad,sep.")
    ] = "",
    offset: Annotated[
        int, typer.Option(help="Number added to all ids, to fit a larger vocabulary.")
    ] = 0,
) -> None:
    """Fit byte-pair encoding, a lossless compression, to the codes of parquet shards.

    AutoTokenizer loads the result.
    """
    from audiotok import corpora
    from audiotok.tokens.bpe import CodeBPE

    clips = (tokens for _, tokens in corpora.Shards(folder))
    if num_codebooks is not None:
        clips = (tokens.first(num_codebooks) for tokens in clips)
    names = [name for name in special.split(",") if name]
    bpe = CodeBPE.fit(clips, vocab_size, max_frames=max_frames, special=names, offset=offset)
    bpe.save(out)
    print(f"{out}: {bpe.vocab_size} tokens over {bpe.codes.count} codes of {bpe.codes.codec}")
