"""Streaming: whether coding in chunks gives the same codes and sound as the whole clip.

The first 10 s of each clip are coded in chunks of the frames in 10 ms (at least one) and in chunks
of 80 ms; the worse result counts. Codes may differ at near ties, where the last bits of the
arithmetic decide. Sound is decoded from the codes of the whole clip. A codec that cannot stream has
no values, which is not a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.tasks import Column, Item, Task
from audiotok.tasks._streams import (
    beginning,
    code_in_chunks,
    decode_in_chunks,
    frames_per_chunk,
)

if TYPE_CHECKING:
    from audiotok.codec.codec import Codec
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens


class Streaming(Task):
    """Codes and sound of streams against those of the whole clip; times are in `streaming_speed`.

    Nothing is ranked: equality is a promise that a codec keeps or breaks (a codec whose code never
    changes keeps it), and latency is a cost.
    """

    name = "streaming"
    version = 1
    ranked = ()
    observes = True
    columns = (
        Column("stream_codes_equal", "", True, 4, "share of codes equal to the whole clip's"),
        Column("stream_error", "", False, 7, "largest error of the sound, relative to its peak"),
        Column("stream_latency", "ms", False, 1, "algorithmic, by the card: hop and lookahead"),
    )

    def observe(self, codec: Codec, reference: Audio, tokens: Tokens) -> dict[str, float] | None:
        """The columns; None for a codec that cannot stream."""
        card = codec.card
        if not card.streamable:
            return None
        sound, waveform = beginning(codec, reference)
        whole = codec.encode(sound)
        expected = codec.decode(whole).waveform
        peak = max(float(expected.abs().max()), 1e-6)
        equal, error = 1.0, 0.0
        for frames in frames_per_chunk(codec).values():
            codes, streamed, _ = code_in_chunks(codec, waveform, frames * card.hop_length)
            equal_codes = codes == whole.codes
            equal = min(equal, float(equal_codes.double().mean()))
            if not equal_codes.all():
                streamed = decode_in_chunks(codec, whole.codes, frames)
            difference = streamed[:, : expected.shape[1]] - expected
            error = max(error, float(difference.abs().max()) / peak)
        row = {"stream_codes_equal": equal, "stream_error": error}
        return row | {"stream_latency": card.algorithmic_latency_ms}

    def score(self, item: Item) -> dict[str, float]:
        return item.observed or {}
