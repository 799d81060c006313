"""The verb fit-bpe: a tokenizer of Hugging Face over codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def fit_bpe(
    folder: Annotated[Path, typer.Argument(help="Folder of shards that `encode` wrote.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder of the tokenizer.")],
    vocab_size: Annotated[int, typer.Option(help="Tokens in all, with the codes themselves.")],
    num_codebooks: Annotated[int | None, typer.Option(help="Only the first codebooks.")] = None,
    max_frames: Annotated[int | None, typer.Option(help="Of one token, at most.")] = None,
    special: Annotated[str, typer.Option(help="Special tokens, as bos,eos,pad,sep.")] = "",
    offset: Annotated[int, typer.Option(help="Added to the ids, for a model's vocabulary.")] = 0,
) -> None:
    """Fit byte-pair encoding to the codes of parquet shards, a lossless compression; AutoTokenizer
    loads the result."""
    from audiotok import corpora
    from audiotok.tokens.bpe import CodeBPE

    clips = (tokens for _, tokens in corpora.Shards(folder))
    if num_codebooks is not None:
        clips = (tokens.first(num_codebooks) for tokens in clips)
    names = [name for name in special.split(",") if name]
    bpe = CodeBPE.fit(clips, vocab_size, max_frames=max_frames, special=names, offset=offset)
    bpe.save(out)
    print(f"{out}: {bpe.vocab_size} tokens over {bpe.codes.count} codes of {bpe.codes.codec}")
