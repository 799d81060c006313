"""An echo: sound arrives in real time and is played back through a streaming codec.

    python benchmarks/echo.py talk.wav echo.wav                # encodec-24k, chunks of 80 ms
    python benchmarks/echo.py talk.wav echo.wav --codec mimi-8
    python benchmarks/echo.py microphone echo.wav --seconds 10 # with the package sounddevice

Each chunk is encoded and decoded as soon as its last sample has arrived. The latency of a chunk of
output is the time from the arrival of its first sample until the chunk is ready: the length of
a chunk, the delay of the codec, and the work. A chunk is late if its work takes longer than the
chunk lasts. `--unpaced` reads a file as fast as it can; then only the work is measured.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

import audiotok
from audiotok.codec import Codec
from audiotok.errors import AudioError, AudiotokError
from audiotok.sound.audio import Audio, as_audio

MICROPHONE = "microphone"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help=f"a sound file, or {MICROPHONE}")
    parser.add_argument("out", type=Path)
    parser.add_argument("--codec", default="encodec-24k")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--chunk-ms", type=float, default=80)
    parser.add_argument("--seconds", type=float, default=10, help="of the microphone")
    parser.add_argument("--unpaced", action="store_true")
    parser.add_argument("--overwrite", action="store_true")
    arguments = parser.parse_args()
    try:
        if arguments.out.exists() and not arguments.overwrite:
            raise AudioError(f"{arguments.out} exists: name another file, or pass --overwrite")
        codec = audiotok.load(arguments.codec, checkpoint=arguments.checkpoint, device="cpu")
        step = codec.hop_length * max(
            1, round(arguments.chunk_ms / 1000 * codec.card.sample_rate_in / codec.hop_length)
        )
        if arguments.source == MICROPHONE:
            chunks = recorded(codec, step, arguments.seconds)
        else:
            chunks = paced(codec, step, as_audio(arguments.source), not arguments.unpaced)
        sound, timings = echo(codec, chunks)
        sound.save(arguments.out)
    except AudiotokError as reason:
        print(f"error: {reason}", file=sys.stderr)
        sys.exit(2)
    print(report(codec, step, timings, measured=not arguments.unpaced))


def paced(
    codec: Codec, step: int, sound: Audio, paced: bool
) -> Iterator[tuple[torch.Tensor, bool]]:
    """Chunks (C, L) of a sound at the time of their last sample, and whether each is the last."""
    rate = codec.card.sample_rate_in
    waveform = sound.converted(codec.card.channels, rate)
    begin = time.perf_counter()
    for start in range(0, waveform.shape[1], step):
        stop = min(start + step, waveform.shape[1])
        if paced:
            time.sleep(max(0, begin + stop / rate - time.perf_counter()))
        yield waveform[:, start:stop], stop == waveform.shape[1]


def recorded(codec: Codec, step: int, seconds: float) -> Iterator[tuple[torch.Tensor, bool]]:
    """Chunks (C, L) of the microphone.

    Raises:
        AudioError: sounddevice is not installed, or there is no microphone.
    """
    if importlib.util.find_spec("sounddevice") is None:
        raise AudioError("the microphone needs the package sounddevice: name a sound file instead")
    try:
        import sounddevice

        card = codec.card
        count = max(1, round(seconds * card.sample_rate_in / step))
        with sounddevice.InputStream(card.sample_rate_in, step, channels=card.channels) as stream:
            for number in range(count):
                samples = np.ascontiguousarray(stream.read(step)[0].T)
                yield torch.from_numpy(samples), number == count - 1
    except OSError as reason:  # also sounddevice.PortAudioError and a missing library
        raise AudioError(f"no microphone can be read ({reason}): name a sound file") from reason


def echo(
    codec: Codec, chunks: Iterator[tuple[torch.Tensor, bool]]
) -> tuple[Audio, list[tuple[float, float]]]:
    """The sound after encode and decode; for each chunk of output its latency and the work, s."""
    rate_in, rate_out = codec.card.sample_rate_in, codec.card.sample_rate_out
    sounds, timings, samples_in, samples_out, start = [], [], 0, 0, 0.0
    with codec.stream() as stream:
        for chunk, last in chunks:
            arrived = time.perf_counter()
            samples_in += chunk.shape[1]
            start = start or arrived - samples_in / rate_in  # when the first sample arrived
            sounds.append(stream.decode(stream.encode(chunk, last=last), last=last))
            ready = time.perf_counter()
            if sounds[-1].shape[1]:
                timings.append((ready - start - samples_out / rate_out, ready - arrived))
            samples_out += sounds[-1].shape[1]
    length = round(samples_in * rate_out / rate_in)  # the last frame may be longer than the sound
    return Audio(torch.cat(sounds, 1)[:, :length], rate_out), timings


def report(codec: Codec, step: int, timings: list[tuple[float, float]], measured: bool) -> str:
    latency, work = 1000 * np.array(timings).T
    length = 1000 * step / codec.card.sample_rate_in
    lines = [
        f"{codec.card.name}: {len(work)} chunks of {length:.0f} ms",
        f"work per chunk: median {np.median(work):.1f} ms, maximum {work.max():.1f} ms, "
        f"{int((work > length).sum())} late",
        f"latency: median {np.median(latency):.1f} ms, maximum {latency.max():.1f} ms"
        if measured
        else "latency: not measured without pacing",
    ]
    if (latency_ms := codec.card.settled_latency_ms) is not None:
        lines.append(f"of the algorithm: {max(latency_ms, length):.1f} ms at least")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
