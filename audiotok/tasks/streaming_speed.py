"""Streaming speed: work per chunk of sound, encode and decode together.

A codec runs in real time if for 95 % of the chunks the work takes less time than the chunk lasts.
The first 10 s of each clip are used; the first chunk, which includes setup, is not counted. The
algorithmic latency, which does not depend on the machine, is on the card.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiotok.tasks import Column, Item, Task
from audiotok.tasks._streams import CHUNKS, beginning, code_in_chunks, frames_per_chunk

if TYPE_CHECKING:
    import pandas

    from audiotok.codec.codec import Codec
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens


class StreamingSpeed(Task):
    """Milliseconds per chunk and real-time factors of streams, on this machine. Nothing is ranked:
    times are costs that depend on the hardware."""

    name = "streaming_speed"
    version = 1
    ranked = ()
    timing = True
    observes = True
    columns = tuple(
        column
        for size, description in CHUNKS.items()
        for column in (
            Column(f"stream_ms_{size}", "ms", False, 2, f"work per chunk {description}, median"),
            Column(f"stream_ms95_{size}", "ms", False, 2, "the same, 95th percentile"),
            Column(f"stream_rtf_{size}", "x", True, 2, "seconds of audio per second of work"),
        )
    )

    def observe(self, codec: Codec, reference: Audio, tokens: Tokens) -> dict[str, Any] | None:
        """For each chunk size its duration and the work per chunk, ms; None if the codec cannot
        stream."""
        if not codec.card.streamable:
            return None
        _, waveform = beginning(codec, reference)
        timings = {}
        for size, frames in frames_per_chunk(codec).items():
            step = frames * codec.hop_length
            seconds = code_in_chunks(codec, waveform, step)[2]
            milliseconds = [1000 * s for s in seconds[1:] or seconds]
            timings[size] = 1000 * step / codec.card.sample_rate_in, milliseconds
        return timings

    def score(self, item: Item) -> dict[str, float]:
        row = {}
        for size, (duration, work) in (item.observed or {}).items():
            row[f"stream_ms_{size}"] = float(np.median(work))
            row[f"stream_ms95_{size}"] = float(np.percentile(work, 95))
            row[f"stream_rtf_{size}"] = duration * len(work) / sum(work)
        return row

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        """Real-time factors as harmonic means: all sound by all work for clips of equal length."""
        totals = {}
        for size in CHUNKS:
            factors = rows[f"stream_rtf_{size}"].dropna() if len(rows.columns) else ()
            if len(factors):
                totals[f"stream_rtf_{size}"] = float(len(factors) / (1 / factors).sum())
        return totals
