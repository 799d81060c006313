"""Times the work on each incoming chunk of sound, encode and decode together.

    python benchmarks/speed/streaming.py

Ten seconds of the bundled corpus in chunks of 80 ms, in one thread:

    stream       codec.stream(), which keeps its state
    whole        codec.encode and codec.decode of all sound so far, for every chunk: the way
                 without streams; all ways are compared with the codes of the whole
    last 2 s     the same of the last two seconds alone; `differing` shows the effect
    batch of 8   codec.stream(batch=8) with eight sounds, all in one batch; ms are those of the
                 batch, `streams` says how many chunks they serve
    transformers MimiModel's own stream: caches of convolutions and attention in its encoder, of
                 attention alone in its decoder, whose sound therefore is not that of the whole
    moshi        where it is installed: its MimiModel under `streaming`, single and eight, with
                 random weights of its own

transformers has no stream of EnCodec.

`encode_ms` and `decode_ms` are medians of the two halves. `ms95` is what 95 % of the chunks take
less than; a codec keeps up where that is below 80 ms. The algorithmic latency of the card comes on
top. Weights are random, of the official sizes; codebooks of EnCodec are drawn from latents of
speech. Writes results/speed/streaming-cpu.csv and .json.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
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
BATCH = 8
Work = list[tuple[float, float]]  # ms to encode and to decode each chunk


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
            rows += measured(codec, speech, Path(folder))
    table = pd.DataFrame(rows).astype({"differing": "Int64"})  # moshi has no value
    timing.write(arguments.out, "streaming", table, ("torch", "encodec", "transformers", "moshi"))
    print(table.to_string(index=False))


def codecs(folder: Path, speech: Tensor) -> Iterator[Codec]:
    with torch.inference_mode(False), torch.no_grad():
        path, _ = encodec("encodec-24k", folder, speech)
    yield audiotok.load("encodec-24k:codebooks=8", checkpoint=path, device="cpu", quiet=True)
    from transformers import MimiConfig, MimiModel

    with torch.inference_mode(False):
        MimiModel(MimiConfig()).save_pretrained(folder / "mimi")
    yield audiotok.load("mimi-8", checkpoint=folder / "mimi", device="cpu", quiet=True)


def measured(codec: Codec, speech: Tensor, folder: Path) -> Iterator[dict]:
    """A row for each way of the codec."""
    ways: dict[str, Callable[[], tuple[Tensor | None, Work]]] = {
        "stream": lambda: streamed(codec, speech),
        f"batch of {BATCH}": lambda: batched(codec, speech),
        "whole": lambda: repeated(codec, speech, None),
        "last 2 s": lambda: repeated(codec, speech, LAST),
    }
    if codec.card.family == "mimi":
        ways["transformers"] = lambda: of_transformers(codec, speech, folder / "mimi")
        if importlib.util.find_spec("moshi"):
            ways["moshi"] = lambda: of_moshi(codec, speech, 1)
            ways[f"moshi, batch of {BATCH}"] = lambda: of_moshi(codec, speech, BATCH)
    whole = codec.encode(Audio(speech, RATE)).codes[0]
    measurements = {way: body() for way, body in ways.items()}
    reference = np.median(np.sum(measurements["stream"][1], 1))
    for way, (codes, halves) in measurements.items():
        length = 0 if codes is None else min(codes.shape[1], whole.shape[1])
        differing = int((codes[:, :length] != whole[:, :length]).sum()) if length else None
        encode, decode = np.transpose(halves)
        work = encode + decode
        yield {
            "codec": codec.card.name, "way": way, "streams": BATCH if "batch" in way else 1,
            "chunk_ms": 80, "chunks": len(work), "ms": float(np.median(work)),
            "ms95": float(np.percentile(work, 95)), "encode_ms": float(np.median(encode)),
            "decode_ms": float(np.median(decode)), "ratio": float(np.median(work) / reference),
            "frames": length, "differing": differing,
            "algorithmic_ms": codec.card.algorithmic_latency_ms,
        }  # fmt: skip


def timed(
    speech: Tensor,
    encode: Callable[[Tensor, bool], Tensor],
    decode: Callable[[Tensor, bool], object],
) -> tuple[list[Tensor], Work]:
    """The result of `encode` for each chunk (C, L), and the work on each but the first."""
    codes, work, pieces = [], [], speech.split(CHUNK, 1)
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        start = time.process_time()
        codes.append(encode(piece, last))
        middle = time.process_time()
        decode(codes[-1], last)
        work.append(((middle - start) * 1e3, (time.process_time() - middle) * 1e3))
    return codes, work[1:]


def streamed(codec: Codec, speech: Tensor) -> tuple[Tensor, Work]:
    """All codes (K, T) of a single stream, and its work."""
    with codec.stream() as stream:
        codes, work = timed(
            speech,
            lambda piece, last: stream.encode(piece, last=last),
            lambda codes, last: stream.decode(codes, last=last),
        )
    return torch.cat(codes, -1)[0], work


def batched(codec: Codec, speech: Tensor) -> tuple[Tensor, Work]:
    """The same of a batch; item 0 has the speech, the others have it at other levels."""
    levels = torch.linspace(1, 0.3, BATCH)[:, None, None]
    with codec.stream(batch=BATCH) as streams:
        codes, work = timed(
            speech,
            lambda piece, last: streams.encode(levels * piece, last=last),
            lambda codes, last: streams.decode(codes, last=last),
        )
    return torch.cat([items[0] for items in codes], -1)[0], work


def of_transformers(codec: Codec, speech: Tensor, folder: Path) -> tuple[Tensor, Work]:
    """The stream of transformers with the weights of `codec`."""
    from transformers import MimiModel

    with torch.inference_mode(False):
        model = MimiModel.from_pretrained(folder).eval()
    new = "encoder_cache" in inspect.signature(MimiModel.encode).parameters
    name = "cache" if new else "past_key_values"
    encoder, decoder = f"encoder_{name}", f"decoder_{name}"
    state: dict[str, object] = {encoder: None, "padding_cache": None, decoder: None}

    def encode(piece: Tensor, last: bool) -> Tensor:
        past = {key: state[key] for key in (encoder, "padding_cache")}
        output = model.encode(
            piece[None], num_quantizers=codec.num_codebooks, use_streaming=True, **past
        )
        state.update({key: getattr(output, key) for key in past})
        return output.audio_codes

    def decode(codes: Tensor, last: bool) -> None:
        state[decoder] = getattr(model.decode(codes, **{decoder: state[decoder]}), decoder)

    codes, work = timed(speech, encode, decode)
    return torch.cat(codes, -1)[0], work


def of_moshi(codec: Codec, speech: Tensor, batch: int) -> tuple[None, Work]:
    """moshi's Mimi with weights of its own, so its codes are not compared."""
    from moshi.models import loaders

    with torch.inference_mode(False):
        model = loaders.get_mimi(None, device="cpu", num_codebooks=codec.num_codebooks).eval()
    with model.streaming(batch):
        _, work = timed(
            speech,
            lambda piece, last: model.encode(piece.expand(batch, 1, -1)),
            lambda codes, last: model.decode(codes),
        )
    return None, work


def repeated(codec: Codec, speech: Tensor, max_samples: int | None) -> tuple[Tensor, Work]:
    """Each chunk by coding all sound so far again, or its last `max_samples` samples."""
    frames, past = CHUNK // codec.hop_length, torch.empty(len(speech), 0)
    tokens = None

    def encode(piece: Tensor, last: bool) -> Tensor:
        nonlocal past, tokens
        past = torch.cat([past, piece], 1)
        past = past[:, -max_samples:] if max_samples else past
        tokens = codec.encode(Audio(past, RATE))
        return tokens.codes[0][:, -frames:]

    codes, work = timed(speech, encode, lambda codes, last: codec.decode(tokens))
    return torch.cat(codes, 1), work


if __name__ == "__main__":
    main()
