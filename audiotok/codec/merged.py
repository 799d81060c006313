"""Codec-merging (VALL-E R): several frames share one code of a codebook, without any training.

Han et al. 2024 (VALL-E R), arXiv 2406.07855, section 3.1. Before the search of a codebook the
residual is averaged over `rate` frames, and the codeword found is repeated over them. The next
codebook gets the residual before the averaging, minus that codeword. The paper merges the first
codebook of EnCodec by 2: `encodec-24k:merge=2`.

The search is that of a codec with slower codebooks (SNAC), in `nn/quantizers/strided.py`; this file
makes the card. Files, token rates and bitrates count a merged code once. The last group of frames
may be shorter. With a single codebook, merging is plain pooling over time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from audiotok.codec.card import CodecCard
from audiotok.errors import CodecError
from audiotok.tokens.atok import MAX_STRIDE


def merge_rates(text: str) -> tuple[int, ...]:
    """Rates in "2" or "2/2/1": how many frames share a code, from the first codebook on."""
    rates = tuple(int(part) for part in text.split("/"))
    if min(rates) < 1:
        raise ValueError(text)
    return rates


merge_rates.__name__ = "list of whole numbers from 1, as 2 or 2/2/1"


def merge(card: CodecCard, rates: Sequence[int]) -> CodecCard:
    """The card with its codebooks merged by these rates; those not named stay as they are.

    Raises:
        CodecError: more rates than codebooks, or more frames per code than a file can store.
    """
    if len(rates) > card.num_codebooks:
        raise CodecError(
            f"merge={'/'.join(map(str, rates))} names {len(rates)} codebooks, but {card.name} has "
            f"{card.num_codebooks}"
        )
    rates = (*rates, *(1,) * (card.num_codebooks - len(rates)))
    strides = tuple(s * rate for s, rate in zip(card.strides, rates, strict=True))
    if max(strides) > MAX_STRIDE:
        raise CodecError(
            f"merge={'/'.join(map(str, rates))} lets {max(strides)} frames of {card.name} share a "
            f"code: {MAX_STRIDE} is the most"
        )
    what = "plain pooling over time" if card.num_codebooks == 1 else "codebooks merged in time"
    changed = {"strides": strides, "description": f"{card.description}; {what}"}
    frames = _frames_ahead(strides) - _frames_ahead(card.strides)
    for field in ("lookahead", "settled_lookahead"):  # a code needs all the frames that share it
        if (samples := getattr(card, field)) is not None:
            changed[field] = samples + card.hop_length * frames
    return card.model_copy(update=changed)


def _frames_ahead(strides: Sequence[int]) -> int:
    """How many later frames a code may depend on, in a residual stack with these strides."""
    period = math.lcm(*strides)
    reach = list(range(period))  # for each frame, the last frame that its residual depends on
    for stride in strides:
        groups = [reach[start : start + stride] for start in range(0, period, stride)]
        reach = [max(group) for group in groups for _ in group]
    return max(last - frame for frame, last in enumerate(reach))
