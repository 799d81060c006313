"""Codes of clips as tokens of byte-pair encoding, for the language model of `acoustic_lm:bpe`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from audiotok.errors import TokensError
from audiotok.tokens.bpe import CodeBPE, Codes
from audiotok.tokens.tokens import Tokens

MERGES = 4096  # tokens beside the codes themselves


def fitted(clips: Sequence[Tokens]) -> Callable[[Tokens], Tokens]:
    """Fits BPE to the training clips; the result turns a clip into one codebook of its tokens."""
    if not clips:
        raise TokensError("no training clip has tokens")
    bpe = CodeBPE.fit(clips, len(Codes.of(clips[0]).alphabet) + MERGES)

    def convert(tokens: Tokens) -> Tokens:
        return replace(
            tokens.segmented(),
            codes=bpe.encode(tokens)[None, None],
            codebook_sizes=(bpe.vocab_size,),
            strides=(1,),
        )

    return convert
