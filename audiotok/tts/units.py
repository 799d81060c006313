"""Units of speech: their phones, and how many frames of a codec a unit has."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from audiotok.errors import CodecError, SpeechError
from audiotok.tts import phones
from audiotok.tts.base import Codes


def merge_of(codes: Codes, group: int) -> int:
    """Frames in a unit: those that share a first token, where `group` codebooks form a token.

    Raises:
        CodecError: the codec merges other codebooks than those of the first token.
    """
    first, rest = codes.strides[:group], codes.strides[group:]
    if len(set(first)) != 1 or set(rest) - {1}:
        expected = "/".join(["2"] * group)
        raise CodecError(
            f"{codes.codec} has the strides {'/'.join(map(str, codes.strides))}: expected all "
            f"{group} codebooks of the first token merged alike and no other, as merge={expected}"
        )
    return first[0]


def check(ids: Tensor, durations: Tensor | None) -> None:
    """Raises SpeechError unless every phone has a duration of one unit or more."""
    if durations is None:
        return
    if len(durations) != len(ids) or int(durations.min()) < 1:
        raise SpeechError(
            f"{len(durations)} durations, the shortest of {int(durations.min())} units, for "
            f"{len(ids)} phones: expected one unit or more for each phone"
        )


def current_and_next(ids: Tensor, number: int) -> tuple[int, int]:
    """The id of phone `number` and that of the next phone, END after the last one."""
    following = int(ids[number + 1]) if number + 1 < len(ids) else phones.END
    return int(ids[number]), following


def expand(ids: Tensor, durations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each unit its phone, the next phone of the text (END after the last one), and the units
    of its phone before it; (U,) each."""
    following = torch.cat([ids[1:], ids.new_tensor([phones.END])])
    starts = durations.cumsum(0) - durations
    elapsed = torch.arange(int(durations.sum())) - starts.repeat_interleave(durations)
    return ids.repeat_interleave(durations), following.repeat_interleave(durations), elapsed


def advances(durations: Tensor) -> Tensor:
    """(U,) bool: whether the next phone begins after a unit."""
    ends = torch.zeros(int(durations.sum()), dtype=torch.bool)
    ends[durations.cumsum(0) - 1] = True
    return ends


def phone_after(ids: Tensor, durations: Tensor) -> Tensor:
    """(U,): the phone of the unit after each unit, END after the last one."""
    current, following, _ = expand(ids, durations)
    return torch.where(advances(durations), following, current)


def noised(
    tokens: Tensor, sizes: Sequence[int], share: float, generator: torch.Generator | None
) -> Tensor:
    """Tokens (K, T) of codebooks of these sizes, a share of them replaced by random ones."""
    if share == 0:  # draws nothing
        return tokens
    random = torch.stack(
        [torch.randint(size, tokens.shape[1:], generator=generator) for size in sizes]
    )
    replaced = torch.rand(tokens.shape, generator=generator) < share
    return torch.where(replaced.to(tokens.device), random.to(tokens), tokens)
