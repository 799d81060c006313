"""Segments: clips that are a part of a sound file, given in seconds by columns of a manifest."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from audiotok.errors import AudioError

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

COLUMNS = {  # name: meaning, for docs/manifests.md
    "offset": "start of a segment of the file, in seconds; default 0",
    "duration": "length of the segment, in seconds; default: to the end of the file",
    "start": "another name of offset",
    "end": "end of the segment, in seconds, instead of duration",
}
REFUSED = (  # columns that would change which sound is read, and that audiotok does not support
    *("channel", "channels", "channel_selector", "start_time", "end_time", "begin", "stop"),
    *("start_sample", "end_sample", "start_frame", "end_frame", "frame_offset", "num_frames"),
    *("start_ms", "end_ms", "offset_ms", "duration_ms"),
)
TOLERANCE = 0.05  # s by which a rounded duration may exceed the end of the file
MAX_SECONDS = 1e9  # s, about 30 years

Segment = tuple[float, float | None]  # offset and duration in seconds; None: to the end


def parse(cells: dict[str, str], refuse: Callable[[str], Exception]) -> Segment:
    """(offset, duration) of a row; (0, None) for the whole file.

    Args:
        refuse: function from a message to the error to raise.
    """
    numbers = {name: _seconds(name, cells[name], refuse) for name in COLUMNS if name in cells}
    if "start" in numbers and "offset" in numbers:
        raise refuse("has start and offset: give one of them, in seconds")
    if "end" in numbers and "duration" in numbers:
        raise refuse("has end and duration: give one of them, in seconds")
    offset = numbers.get("offset", numbers.get("start", 0.0))
    duration = numbers.get("duration")
    if "end" in numbers:
        duration = round(numbers["end"] - offset, 9)
    if duration is not None and duration <= 0:
        raise refuse(f"is a segment of {duration:g} s from {offset:g} s: expected more than 0")
    return offset, duration


def _seconds(name: str, text: str, refuse: Callable[[str], Exception]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MAX_SECONDS:  # also false for NaN
        raise refuse(
            f"has {name} {text[:40]!r}: expected seconds, 0 or more, {MAX_SECONDS:g} at most"
        )
    return value


def segment_path(path: str, segment: Segment) -> str:
    """The path with the segment (in ms) in its name; the id of the clip is derived from it."""
    if segment == (0.0, None):
        return path
    offset, duration = segment
    stem, extension = os.path.splitext(path)
    end = "end" if duration is None else f"{round(1000 * (offset + duration)):07d}"
    return f"{stem}-{round(1000 * offset):07d}-{end}{extension}"


def cut(audio: Audio, segment: Segment, name: str) -> Audio:
    """The segment of a sound; AudioError if it exceeds the end of the sound."""
    from audiotok.sound.audio import Audio

    if segment == (0.0, None):
        return audio
    offset, duration = segment
    length = audio.num_samples / audio.sample_rate
    end = length if duration is None else offset + duration
    if offset >= length or end > length + TOLERANCE:
        raise AudioError(
            f"{name} has {length:g} s, but the segment is {offset:g} s to {end:g} s: expected "
            "seconds within the file"
        )
    start = round(offset * audio.sample_rate)
    stop = min(audio.num_samples, max(start + 1, round(end * audio.sample_rate)))
    start = min(start, stop - 1)
    return Audio(audio.waveform[:, start:stop].clone(), audio.sample_rate)
