"""What the streaming tasks share: coding of a clip in chunks of 10 ms and of 80 ms."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from audiotok.codec.codec import Codec
    from audiotok.sound.audio import Audio

SECONDS = 10.0  # of a clip, at most
CHUNKS = {
    "hop": "of the frames in 10 ms, at least one",
    "80ms": "of 80 ms, rounded to whole frames",
}


def frames_per_chunk(codec: Codec) -> dict[str, int]:
    """Frames per chunk of each of CHUNKS."""
    rate = codec.frame_rate
    return {"hop": math.ceil(0.01 * rate), "80ms": max(1, round(0.08 * rate))}


def beginning(codec: Codec, reference: Audio) -> tuple[Audio, torch.Tensor]:
    """The beginning of a clip, and the same as a waveform (C, L) at the codec's rate."""
    from audiotok.sound.audio import Audio

    length = round(SECONDS * reference.sample_rate)
    sound = Audio(reference.waveform[:, :length].contiguous(), reference.sample_rate)
    apart = codec.options.get("channels") == "each"  # channels are coded apart
    channels = None if apart else codec.card.channels
    return sound, sound.converted(channels, codec.card.sample_rate_in)


def code_in_chunks(
    codec: Codec, waveform: torch.Tensor, step: int
) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
    """Codes (C, K, T) of a waveform in chunks of `step` samples, the decoded sound (C, L), and the
    seconds of work per chunk."""
    import torch

    codes, sounds, seconds = [], [], []
    with codec.stream() as stream:
        for start in range(0, waveform.shape[1], step):
            last = start + step >= waveform.shape[1]
            started = time.perf_counter()
            codes.append(stream.encode(waveform[:, start : start + step], last=last))
            sounds.append(stream.decode(codes[-1], last=last))
            seconds.append(time.perf_counter() - started)
    return torch.cat(codes, -1), torch.cat(sounds, -1), seconds


def decode_in_chunks(codec: Codec, codes: torch.Tensor, step: int) -> torch.Tensor:
    """Sound (C, L) of codes (C, K, T), decoded in chunks of `step` frames."""
    import torch

    with codec.stream() as stream:
        chunks = codes.split(step, dim=-1)
        sounds = [stream.decode(chunk, last=chunk is chunks[-1]) for chunk in chunks]
    return torch.cat(sounds, -1)
