"""Times whole codecs against the packages they come from, after checking that the codes agree.

    python benchmarks/speed/codecs.py --quick     # EnCodec at 24 kHz only
    python benchmarks/speed/codecs.py

Weights are random, the same for all; codebooks are drawn from latents of the bundled corpus, which
is also what is coded: one frame, 1 s and 10 s. All peers run in this one process, taking turns; a
time is the median over the rounds, process time in one thread (--threads changes that).

`audiotok` is `codec.encode(Audio)` and `codec.decode(Tokens)` with all their checks; `audiotok
network` is the network alone, as the peers are timed. `differing` counts codes that differ from
ours, which can happen at near ties; sound from the same codes is compared to 1e-5 of its peak.
EnCodec at 24 kHz and DAC have 8 codebooks, EnCodec at 48 kHz has all 16 (transformers allows only
some numbers).

Writes results/speed/codecs-cpu.csv and .json. Rows with a note were not measured.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import torch
from codec_peers import Peer, dac, encodec, speech
from timing import timed
from torch import Tensor

import audiotok
from audiotok.codec.inference import inference
from audiotok.codec.registry import find_card
from audiotok.errors import CodecError, ResultsError
from audiotok.results import provenance
from audiotok.sound.audio import Audio
from audiotok.system.files import replacing
from audiotok.tasks.speed import hardware

CODECS: dict[str, Callable[[str, Path, Tensor], tuple[Path, dict[str, Peer]]]] = {
    "encodec-24k:codebooks=8": encodec,
    "encodec-48k": encodec,
    "dac-24k:codebooks=8": dac,
}
MAX_DIFFERING = 0.001  # share of codes that may differ at near ties
GOALS = [  # codec, length, work, peer, minimum ratio
    ("encodec-24k:codebooks=8", "1 s", "encode+decode", "transformers", 1.05),
    ("encodec-24k:codebooks=8", "one frame", "encode+decode", "transformers", 1.3),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only EnCodec at 24 kHz")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore", FutureWarning)  # weight_norm is an old function
    rows = []
    for name in list(CODECS)[:1] if arguments.quick else CODECS:
        rows += measured(name, arguments.rounds)
    table = pd.DataFrame(rows)
    goals = goal_table(table)
    write(arguments, table, goals)
    print(table.drop(columns=["times_ms"], errors="ignore").to_string(index=False))
    print(goals.to_string(index=False))


def measured(name: str, rounds: int) -> Iterator[dict]:
    """A row for each length, work and peer."""
    try:
        card = find_card(name)
    except CodecError as reason:
        yield {"codec": name, "note": f"not measured: {reason}"}
        return
    torch.manual_seed(0)
    sound = speech(card.sample_rate_in, card.channels, seconds=30)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        file, peers = CODECS[name](name, Path(folder), sound)
        codec = audiotok.load(name, checkpoint=file, device="cpu")
    lengths = {"one frame": card.hop_length}
    lengths |= {f"{seconds} s": seconds * card.sample_rate_in for seconds in (1, 10)}
    for label, num_samples in lengths.items():
        cell = {"codec": name, "length": label, "seconds": num_samples / card.sample_rate_in}
        yield from cell_rows(codec, peers, sound[:, :num_samples], cell, rounds=rounds)


def cell_rows(
    codec: audiotok.Codec, peers: dict[str, Peer], sound: Tensor, cell: dict, *, rounds: int
) -> Iterator[dict]:
    audio, batch = Audio(sound, codec.card.sample_rate_in), sound[None]
    tokens = codec.encode(audio)
    decoded = codec.decode(tokens).waveform
    functions: dict[str, dict[str, Callable]] = {
        "encode": {"audiotok": lambda: codec.encode(audio)},
        "decode": {"audiotok": lambda: codec.decode(tokens)},
    }
    functions["encode"]["audiotok network"] = lambda: codec._codes_of(batch, fast=False)
    functions["decode"]["audiotok network"] = lambda: network_decode(codec, tokens, sound.shape[1])
    differing = {}
    for name, peer in peers.items():
        with torch.inference_mode():
            encoded = peer.encode(batch)
            codes, peer_sound = peer.codes(encoded), peer.decode(encoded)
        differing[name] = int((codes != tokens.codes).sum())
        if differing[name] > MAX_DIFFERING * codes.numel():
            raise SystemExit(f"{cell}: {differing[name]} codes of {name} differ from ours")
        common = min(peer_sound.shape[-1], decoded.shape[1])  # DAC's decoder is short by 8 samples
        error = (peer_sound[0, :, :common] - decoded[:, :common]).abs().max()
        error = error / decoded.abs().max()
        if not differing[name] and error > 1e-5:
            raise SystemExit(f"{cell}: the sound of {name} differs by {error:g} of its peak")
        functions["encode"][name] = lambda peer=peer: peer.encode(batch)
        functions["decode"][name] = lambda peer=peer, encoded=encoded: peer.decode(encoded)
    medians: dict[str, float] = {}
    for work, bodies in functions.items():
        with torch.inference_mode():
            rows = list(timed(bodies, "cpu", rounds))
        for row in rows:
            medians[row["peer"]] = medians.get(row["peer"], 0) + row["ms"]
            yield finished(cell, work, row, differing)
    for name, ms in medians.items():
        row = {"peer": name, "ms": ms, "ratio": ms / medians["audiotok"]}
        yield finished(cell, "encode+decode", row, differing)


def finished(cell: dict, work: str, row: dict, differing: dict[str, int]) -> dict:
    factor = {"real_time_factor": cell["seconds"] * 1e3 / row["ms"]}
    return cell | {"work": work} | row | factor | {"differing": differing.get(row["peer"])}


def network_decode(codec: audiotok.Codec, tokens: audiotok.Tokens, num_samples: int) -> Tensor:
    with inference(codec.network, codec.device):
        return codec._decode_windows(tokens.codes, num_samples, tokens.side)


def goal_table(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for codec, length, work, peer, goal in GOALS:
        key = {"codec": codec, "length": length, "work": work, "peer": peer}
        matches = table[(table[list(key)] == pd.Series(key)).all(axis=1)]
        ratio = float(matches.ratio.iloc[0]) if len(matches) else None
        verdict = "not measured" if ratio is None else "reached" if ratio >= goal else "missed"
        rows.append(key | {"goal": goal, "ratio": ratio, "verdict": verdict})
    return pd.DataFrame(rows)


def write(arguments: argparse.Namespace, table: pd.DataFrame, goals: pd.DataFrame) -> None:
    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = arguments.out / "codecs-cpu"
    names = ("torch", "encodec", "transformers", "descript-audio-codec")
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware("cpu"),
        "clock": "process time" if arguments.threads == 1 else "wall clock",
        "rounds": arguments.rounds,
        "packages": provenance.packages(names),
        "git": provenance.git(),
        "command": provenance.command(),
    }
    record |= {
        "goals": json.loads(goals.to_json(orient="records")),
        "rows": json.loads(table.to_json(orient="records")),
    }
    with replacing(f"{stem}.csv", ResultsError) as file:
        plain = table.drop(columns=["times_ms"], errors="ignore")
        file.write(plain.to_csv(index=False).encode())
    with replacing(f"{stem}.json", ResultsError) as file:
        file.write(json.dumps(record, indent=1).encode())


if __name__ == "__main__":
    main()
