"""Times the work on each chunk of sound that comes in, encode and decode together.

    python benchmarks/speed/streaming.py

Ten seconds of the bundled corpus in chunks of 80 ms, in one thread:

    stream       codec.stream(), which remembers
    whole        codec.encode and codec.decode of all that was heard so far, for every chunk: what
                 one does without streams; all ways are compared with the codes of the whole
    last 2 s     the same of the last two seconds alone; `differing` says what that costs

`ms95` is what 95 % of the chunks take less than; a codec keeps up where that is below 80 ms. The
algorithmic latency of the card comes on top. Weights are random, of the official sizes; codebooks
of EnCodec are drawn from latents of speech. Writes results/speed/streaming-cpu.csv and .json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import timing
import torch
from codec_peers import encodec
from torch import Tensor

import audiotok
from audiotok import data
from audiotok.codec import Codec
from audiotok.sound.audio import Audio, as_audio

RATE = 24_000
CHUNK = RATE * 80 // 1000
SECONDS = 10
LAST = 2 * RATE  # samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--seconds", type=int, default=SECONDS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    clips = [as_audio(clip.path).to_channels(1).resample(RATE) for clip in data.load("bundled", 8)]
    speech = torch.cat([clip.waveform for clip in clips], 1)[:, : arguments.seconds * RATE]
    speech = speech[:, : speech.shape[1] // CHUNK * CHUNK]
    rows = []
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        for codec in codecs(Path(folder), speech):
            rows += measured(codec, speech)
    table = pd.DataFrame(rows)
    timing.write(arguments.out, "streaming", table, ("torch", "encodec", "transformers"))
    print(table.to_string(index=False))


def codecs(folder: Path, speech: Tensor) -> Iterator[Codec]:
    with torch.inference_mode(False), torch.no_grad():
        path, _ = encodec("encodec-24k", folder, speech)
    yield audiotok.load("encodec-24k:codebooks=8", checkpoint=path, device="cpu", quiet=True)
    from transformers import MimiConfig, MimiModel

    with torch.inference_mode(False):
        MimiModel(MimiConfig()).save_pretrained(folder / "mimi")
    yield audiotok.load("mimi-8", checkpoint=folder / "mimi", device="cpu", quiet=True)


def measured(codec: Codec, speech: Tensor) -> Iterator[dict]:
    """A row for each way of the codec."""
    ways: dict[str, Callable[[], tuple[Tensor, list[float]]]] = {
        "stream": lambda: streamed(codec, speech),
        "whole": lambda: again(codec, speech, None),
        "last 2 s": lambda: again(codec, speech, LAST),
    }
    whole = codec.encode(Audio(speech, RATE)).codes[0]
    found = {way: body() for way, body in ways.items()}
    plain = np.median(found["stream"][1])
    for way, (codes, work) in found.items():
        length = min(codes.shape[1], whole.shape[1])
        yield {
            "codec": codec.card.name, "way": way, "chunk_ms": 80, "chunks": len(work),
            "ms": float(np.median(work)), "ms95": float(np.percentile(work, 95)),
            "ratio": float(np.median(work) / plain), "frames": length,
            "differing": int((codes[:, :length] != whole[:, :length]).sum()),
            "algorithmic_ms": codec.card.algorithmic_latency_ms,
        }  # fmt: skip


def streamed(codec: Codec, speech: Tensor) -> tuple[Tensor, list[float]]:
    """All codes, and milliseconds of each chunk but the first."""
    codes, work = [], []
    pieces = speech.split(CHUNK, 1)
    with codec.stream() as stream:
        for number, piece in enumerate(pieces):
            start, last = time.process_time(), number == len(pieces) - 1
            found = stream.encode(piece, last=last)
            stream.decode(found, last=last)
            work.append((time.process_time() - start) * 1e3)
            codes.append(found[0])
    return torch.cat(codes, 1), work[1:]


def again(codec: Codec, speech: Tensor, most: int | None) -> tuple[Tensor, list[float]]:
    """Each chunk by coding all before it again, or its last `most` samples."""
    codes, work = [], []
    frames = CHUNK // codec.hop_length
    for end in range(CHUNK, speech.shape[1] + 1, CHUNK):
        start = time.process_time()
        heard = speech[:, max(0, end - most) if most else 0 : end]
        tokens = codec.encode(Audio(heard, RATE))
        codec.decode(tokens)
        work.append((time.process_time() - start) * 1e3)
        codes.append(tokens.codes[0][:, -frames:])
    return torch.cat(codes, 1), work[1:]


if __name__ == "__main__":
    main()
