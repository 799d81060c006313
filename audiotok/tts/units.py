"""Units of speech: which phone each has, and how frames of a codec make them."""

from __future__ import annotations

import torch
from torch import Tensor

from audiotok.errors import CodecError, SpeechError
from audiotok.tts import phones
from audiotok.tts.base import Codes


def merge_of(codes: Codes, group: int) -> int:
    """Frames that share a first token, where `group` codebooks make a token.

    Raises:
        CodecError: the codec merges other codebooks than those of the first token.
    """
    first, rest = codes.strides[:group], codes.strides[group:]
    if len(set(first)) != 1 or set(rest) - {1}:
        wanted = "/".join(["2"] * group)
        raise CodecError(
            f"{codes.codec} has the strides {'/'.join(map(str, codes.strides))}: expected all "
            f"{group} codebooks of the first token merged alike and no other, as merge={wanted}"
        )
    return first[0]


def check(spoken: Tensor, durations: Tensor | None) -> None:
    """Raises SpeechError unless every phone has a duration of one unit or more."""
    if durations is None:
        return
    if len(durations) != len(spoken) or int(durations.min()) < 1:
        raise SpeechError(
            f"{len(durations)} durations from {int(durations.min())} units for {len(spoken)} "
            "phones: expected one of a unit or more for each"
        )


def neighbours(spoken: Tensor, number: int) -> tuple[int, int]:
    """The ids of phone `number` and of the one after it, END behind the last."""
    after = int(spoken[number + 1]) if number + 1 < len(spoken) else phones.END
    return int(spoken[number]), after


def path(spoken: Tensor, durations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each unit its phone, the next other phone of the text (END behind the last), and the units
    spent on its phone before it; (U,) each."""
    after = torch.cat([spoken[1:], spoken.new_tensor([phones.END])])
    starts = durations.cumsum(0) - durations
    spent = torch.arange(int(durations.sum())) - starts.repeat_interleave(durations)
    return spoken.repeat_interleave(durations), after.repeat_interleave(durations), spent


def advances(durations: Tensor) -> Tensor:
    """(U,) bool: whether the next phone begins after a unit."""
    found = torch.zeros(int(durations.sum()), dtype=torch.bool)
    found[durations.cumsum(0) - 1] = True
    return found


def following(spoken: Tensor, durations: Tensor) -> Tensor:
    """(U,): the phone of the unit after each, END after the last."""
    here, after, _ = path(spoken, durations)
    return torch.where(advances(durations), after, here)
