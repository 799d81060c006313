"""Times the networks of codecs as they are, under `torch.compile` and under onnxruntime.

    python benchmarks/speed/compiled.py
    python benchmarks/speed/compiled.py --codecs rvq-small --seconds 1

`encode` is from waveform to codes, `decode` from codes to waveform, of one sound of --seconds in
the bundled corpus. All peers run in this one process, taking turns, with PyTorch's own number of
threads. `first_s` is the time of the first call, in which `torch.compile` compiles for this length
or reads from its cache on disk; another length compiles again. `differing` counts codes unlike
ours, which rounding may decide; `error` is the largest difference of the sound from the same codes,
as a share of its peak. Codecs without weights here get random ones.

Writes results/speed/compiled-cpu.csv and .json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import onnxruntime
import pandas as pd
import torch
from codec_peers import dac, encodec, speech
from timing import timed, write
from torch import Tensor, nn

import audiotok
from audiotok.codec import onnx_graphs

CODECS = ("wavtokenizer-mini", "rvq-small", "encodec-24k:codebooks=8", "dac-24k:codebooks=8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codecs", default=";".join(CODECS), help="separated by semicolons")
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", FutureWarning)
    torch._dynamo.config.allow_rnn = True  # an LSTM is part of the graph, too
    rows: list[dict] = []
    for name in arguments.codecs.split(";"):
        rows += measured(name, arguments.seconds, arguments.rounds)
        write(arguments.out, "compiled", pd.DataFrame(rows), ("torch", "onnxruntime"))
        print(pd.DataFrame(rows).drop(columns="times_ms").to_string(index=False))


def measured(name: str, seconds: int, rounds: int) -> Iterator[dict]:
    """A row for each of encode and decode, and peer."""
    torch._dynamo.reset()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        codec = loaded(name, Path(folder))
        rate = codec.card.sample_rate_in
        waveform = speech(rate, seconds=seconds)[None]
        graphs = onnx_sessions(codec, Path(folder))
    with codec._running(), torch.inference_mode():
        codes = codec._quantize(codec._encode_latents(waveform))
        cases = {
            "encode": (Encoding(codec), graphs[0], waveform),
            "decode": (Decoding(codec), graphs[1], codes),
        }
        for work, case in cases.items():
            for row in compared(*case, rounds):
                yield {"codec": name, "work": work, "seconds": seconds} | row


def loaded(name: str, folder: Path) -> audiotok.Codec:
    make = {"encodec": encodec, "dac": dac}.get(name.partition("-")[0])
    with torch.no_grad():
        file = make and make(name, folder, speech())[0]
    return audiotok.load(name, checkpoint=file, device="cpu", quiet=True)


class Encoding(nn.Module):
    """Waveform (1, C, L) to codes (1, K, T)."""

    def __init__(self, codec: audiotok.Codec):
        super().__init__()
        self.network, self._codec = codec.network, codec

    def forward(self, waveform: Tensor) -> Tensor:
        return self._codec._quantize(self._codec._encode_latents(waveform))


class Decoding(Encoding):
    """Codes (1, K, T) to waveform (1, C, L)."""

    def forward(self, codes: Tensor) -> Tensor:
        return self._codec._decode_latents(self._codec._dequantize(codes))


def onnx_sessions(codec: audiotok.Codec, folder: Path) -> tuple[Callable, Callable]:
    """`Encoding` and `Decoding` in onnxruntime."""
    onnx_graphs.write(codec, folder)
    graphs = [onnxruntime.InferenceSession(folder / name) for name in onnx_graphs.GRAPHS]

    def run(graph: onnxruntime.InferenceSession, tensor: Tensor) -> Tensor:
        (output,) = graph.run(None, {graph.get_inputs()[0].name: tensor.numpy()})
        return torch.from_numpy(output)

    encoder, quantizer, decoder = (partial(run, graph) for graph in graphs)
    return lambda waveform: quantizer(encoder(waveform)), decoder


def compared(network: nn.Module, graph: Callable, sample: Tensor, rounds: int) -> Iterator[dict]:
    """A row for each peer: times of this input, and how its output differs from ours."""
    expected = network(sample)
    peers = {"audiotok": network, "torch.compile": torch.compile(network, fullgraph=True)}
    peers["onnxruntime"] = graph
    differences = {}
    for peer, call in peers.items():
        start = time.perf_counter()
        output = call(sample)
        difference = {"first_s": time.perf_counter() - start}
        if not expected.is_floating_point():
            difference |= {"differing": int((output != expected).sum()), "codes": expected.numel()}
        else:
            common = min(output.shape[-1], expected.shape[-1])
            error = (output[..., :common] - expected[..., :common]).abs().max()
            difference["error"] = float(error / expected.abs().max())
        differences[peer] = difference
    calls = {peer: partial(call, sample) for peer, call in peers.items()}
    threads = {"threads": torch.get_num_threads(), "cores": os.cpu_count()}
    for row in timed(calls, "cpu", rounds):
        yield row | differences[row["peer"]] | threads


if __name__ == "__main__":
    main()
