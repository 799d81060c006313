"""Which phone is spoken in which frame: forced alignment, and durations in whole frames.

Silence is a phone. Every phone gets at least one frame; a phone shorter than a frame takes one from
the nearest phone that has more than one, from the longer one of two equally near phones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audiotok.errors import SpeechError
from audiotok.judges.asr import sphinx
from audiotok.sound.audio import Audio
from audiotok.tts import phones
from audiotok.tts.text import SILENCE, pronunciations


@dataclass(frozen=True)
class Alignment:
    """The phones of a sound: names and starts in seconds, the first 0."""

    names: tuple[str, ...]
    starts: tuple[float, ...]

    @property
    def ids(self) -> Tensor:
        """(N,) int64, see `phones`."""
        return torch.tensor(phones.ids(self.names))


def align(audio: Audio, text: str) -> Alignment:
    """The phones of `text` in `audio`; noises between the words count as silence.

    Raises:
        MetricError: the text does not fit the sound.
        SpeechError: a word of the text cannot be spoken.
    """
    names: list[str] = []
    starts: list[float] = []
    for name, start in sphinx.phones(audio, text, pronunciations(text)):
        name = name if name in phones.NAMES else SILENCE
        if name == SILENCE and names and names[-1] == SILENCE:
            continue
        names.append(name)
        starts.append(start)
    return Alignment(tuple(names), tuple(starts))


def cut(ids: Tensor, lengths: Tensor, units: slice) -> tuple[Tensor, Tensor]:
    """The phones within a slice of the units, and the units of each; all (N,)."""
    numbers = torch.arange(len(lengths)).repeat_interleave(lengths)[units]
    numbers, counts = numbers.unique_consecutive(return_counts=True)
    return ids[numbers], counts


def durations(starts: Sequence[float], frames: int, frame_rate: float) -> Tensor:
    """Frames of each phone.

    Args:
        starts: of the phones in seconds, ascending.
        frames: of the sound.
        frame_rate: Hz.

    Returns:
        (N,) int64, all at least 1, whose sum is `frames`.

    Raises:
        SpeechError: there are more phones than frames, or none.
    """
    if not 0 < len(starts) <= frames:
        raise SpeechError(
            f"{len(starts)} phones in {frames} frames: expected one or more, and a frame or more "
            "for each"
        )
    bounds = [min(frames, round(start * frame_rate)) for start in starts]
    bounds = [0, *bounds[1:], frames]
    lengths = [end - start for start, end in zip(bounds, bounds[1:], strict=False)]
    for number in range(len(lengths)):
        if lengths[number] > 0:
            continue
        long = [other for other, length in enumerate(lengths) if length > 1]
        nearest = min(long, key=lambda other: (abs(other - number), -lengths[other]))  # noqa: B023
        lengths[nearest] -= 1
        lengths[number] += 1
    return torch.tensor(lengths)
