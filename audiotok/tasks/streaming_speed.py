"""Streaming speed: work per chunk of sound, encode and decode together.

A codec runs in real time if 95 % of the chunks need less work than they last. Measured are the
first 10 s of each clip, without the first chunk, which does the setup. The algorithmic latency does
not depend on the machine and is on the card of the codec.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiotok.tasks import Column, Item, Task
from audiotok.tasks._streams import CHUNKS, beginning, frames_per_chunk, through

if TYPE_CHECKING:
    import pandas

    from audiotok.codec.codec import Codec
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens


class StreamingSpeed(Task):
    """Milliseconds per chunk and real-time factors of streams, on this machine. Nothing is ranked:
    times are costs, and belong to their hardware."""

    name = "streaming_speed"
    version = 1
    ranked = ()
    timing = True
    observes = True
    columns = tuple(
        column
        for size, what in CHUNKS.items()
        for column in (
            Column(f"stream_ms_{size}", "ms", False, 2, f"work per chunk {what}, median"),
            Column(f"stream_ms95_{size}", "ms", False, 2, "the same, 95 % take less"),
            Column(f"stream_rtf_{size}", "x", True, 2, "seconds of audio per second of work"),
        )
    )

    def observe(self, codec: Codec, reference: Audio, tokens: Tokens) -> dict[str, Any] | None:
        """Of each size of chunk, its milliseconds and the work on each; None where none stream."""
        if not codec.card.streamable:
            return None
        _, waveform = beginning(codec, reference)
        seen = {}
        for size, frames in frames_per_chunk(codec).items():
            step = frames * codec.hop_length
            seconds = through(codec, waveform, step)[2]
            work = [1000 * each for each in seconds[1:] or seconds]
            seen[size] = 1000 * step / codec.card.sample_rate_in, work
        return seen

    def score(self, item: Item) -> dict[str, float]:
        row = {}
        for size, (lasts, work) in (item.observed or {}).items():
            row[f"stream_ms_{size}"] = float(np.median(work))
            row[f"stream_ms95_{size}"] = float(np.percentile(work, 95))
            row[f"stream_rtf_{size}"] = lasts * len(work) / sum(work)
        return row

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        """Real-time factors as harmonic means: all sound by all work, clips of like length."""
        found = {}
        for size in CHUNKS:
            factors = rows[f"stream_rtf_{size}"].dropna() if len(rows.columns) else ()
            if len(factors):
                found[f"stream_rtf_{size}"] = float(len(factors) / (1 / factors).sum())
        return found
