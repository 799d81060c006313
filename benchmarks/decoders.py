"""Compares decoders of the same codes on each clip, also on codes with errors, by speaker.

    python benchmarks/decoders.py rvq-small runs/finetuned-decoder/model.safetensors --data TEST \\
        --rates 0 0.05 0.1 --csv rows.csv

Errors are those of `audiotok.training.code_errors`, equal for all decoders. The bigrams that they
are drawn from are learned on the clips of --learn, which should differ from those of --data.
The first decoder is the one that the others are compared with.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import sys
from pathlib import Path

import measured
import pandas as pd
import torch

import audiotok
from audiotok import data
from audiotok.errors import AudiotokError
from audiotok.system.files import replacing
from audiotok.training.code_errors import CodeErrors
from audiotok.training.settings import ErrorsConfig


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("decoders", nargs="+", help="names of codecs, or files of weights")
    parser.add_argument("--data", required=True, help="corpus, with speakers")
    parser.add_argument("--learn", help="corpus whose codes the errors are drawn from")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.0])
    parser.add_argument("--kind", choices=("ngram", "neighbours"), default="ngram")
    parser.add_argument(
        "--csv", type=Path, required=True, help="the numbers of each clip; existing rows stay"
    )
    arguments = parser.parse_args()
    codecs = [audiotok.load(name, quiet=True) for name in arguments.decoders]
    if len({codec.fingerprint for codec in codecs}) > 1:
        print("these decoders have different codebooks: compare them with `audiotok compare`")
        return 2
    rows = pd.DataFrame()
    if arguments.csv.exists():
        rows = pd.read_csv(arguments.csv, dtype={"clip": str})
    if len(rows) and set(rows["clip"]) != {clip.id for clip in data.load(arguments.data)}:
        print(f"{arguments.csv} has rows of other clips than those of {arguments.data}")
        return 2
    for rate, codec in itertools.product(arguments.rates, codecs):
        key = {"codec": codec.card.name, "rate": rate, "kind": arguments.kind if rate else "none"}
        if len(rows) and (rows[list(key)] == list(key.values())).all(axis=1).any():
            continue
        change = errors(codecs[0], rate, arguments) if rate else None
        new = pd.DataFrame(measured.rows(codec, arguments.data, change)).assign(**key)
        rows = pd.concat([rows, new])
        with replacing(arguments.csv, AudiotokError) as file:
            file.write(rows.round(6).to_csv(index=False).encode())
        means = new[list(measured.METRICS)].mean().round(4).to_dict()
        print(f"{codec.card.name} at rate {rate}: {means}", flush=True)
    first = codecs[0].card.name
    for rate in arguments.rates:
        kind = arguments.kind if rate else "none"
        selected = rows[(rows["rate"] == rate) & (rows["kind"] == kind)]
        for codec in codecs[1:]:
            pair = [selected[selected["codec"] == name] for name in (codec.card.name, first)]
            for metric in measured.METRICS:
                estimate = measured.difference(*pair, metric)
                text = measured.formatted(estimate, metric)
                print(f"rate {rate}, {metric}: {codec.card.name} - {first} = {text}")
    return 0


def errors(codec: audiotok.Codec, rate: float, arguments: argparse.Namespace) -> measured.Change:
    """A function that puts errors into the tokens of a clip; they depend on its number alone."""
    settings = ErrorsConfig(rate=rate, clips=1.0, kind=arguments.kind)
    vectors = None
    if arguments.kind == "neighbours":
        vectors = [codec.codewords(k) for k in range(codec.num_codebooks)]
    model = CodeErrors(settings, codec.card.strides, vectors)
    if arguments.kind == "ngram":
        for clip in data.load(arguments.learn or arguments.data):
            model.learn(codec.encode(clip.read()).codes)

    def change(tokens: audiotok.Tokens, number: int) -> audiotok.Tokens:
        torch.manual_seed(number)
        return dataclasses.replace(tokens, codes=model.drawn(tokens.codes))

    return change


if __name__ == "__main__":
    sys.exit(main())
