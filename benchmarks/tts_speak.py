"""Speaks the sentences of the suite tts, for models, the codec's copies and noise.

    python benchmarks/tts_speak.py HELD_OUT OUT --model AR.safetensors NAR.safetensors
    python benchmarks/tts_speak.py HELD_OUT OUT --copy rvq-small:codebooks=4,merge=2
    python benchmarks/tts_speak.py HELD_OUT OUT --noise
    AUDIOTOK_AUDIO_ROOTS=HELD_OUT audiotok bench -s tts --data OUT/manifest.tsv

HELD_OUT is the folder of `benchmarks/tts_corpus.py held-out`. Each call adds the rows of one system
to OUT/manifest.tsv, and resumes where it stopped. The seed of a request is its place in the
manifest plus --seed. One thread.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from tts_corpus import append, read

from audiotok.sound.audio import Audio, write
from audiotok.sound.audio import read as read_sound
from audiotok.system.names import part
from audiotok.tts.base import Generation

Row = dict[str, str]
Maker = Callable[[Sequence[tuple[int, Row]], Sequence[Path]], None]


def models(arguments: argparse.Namespace, texts: dict[str, str]) -> Maker:
    """Speaks rows by the model, with their prompts."""
    from audiotok.tts.say import Speaker
    from audiotok.tts.say import write as write_speech

    speaker = Speaker(*arguments.model)
    prompts = {}
    options = Generation(
        temperature=arguments.temperature, top_p=arguments.top_p, pointer=arguments.pointer,
        steps=arguments.steps, guidance=arguments.guidance, order=arguments.order,
        tau=arguments.tau,
    )  # fmt: skip

    def make(rows: Sequence[tuple[int, Row]], paths: Sequence[Path]) -> None:
        requests = []
        for number, row in rows:
            name = row["prompt"]
            if name not in prompts:
                text = texts[name] if arguments.prompt_text else None
                prompts[name] = speaker.prompt(arguments.held_out / name, text)
            requests.append(
                speaker.request(row["text"], prompts[name], seed=arguments.seed + number)
            )
        for path, spoken in zip(paths, speaker.speak(requests, options), strict=True):
            write_speech(path, spoken)

    return make


def copies(arguments: argparse.Namespace) -> Maker:
    """The recordings, through the codec."""
    import audiotok

    codec = audiotok.load(arguments.copy)

    def make(rows: Sequence[tuple[int, Row]], paths: Sequence[Path]) -> None:
        for (_, row), path in zip(rows, paths, strict=True):
            write(path, codec.reconstruct(read_sound(arguments.held_out / row["audio"])))

    return make


def noise(arguments: argparse.Namespace) -> Maker:
    """White noise as long and as loud as the recordings."""

    def make(rows: Sequence[tuple[int, Row]], paths: Sequence[Path]) -> None:
        for (number, row), path in zip(rows, paths, strict=True):
            sound = read_sound(arguments.held_out / row["audio"])
            level = float(sound.waveform.square().mean().sqrt())
            samples = np.random.default_rng(number).standard_normal(sound.num_samples)
            write(path, Audio(torch.tensor(level * samples)[None].float(), sound.sample_rate))

    return make


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("held_out", type=Path)
    parser.add_argument("out", type=Path)
    makers = parser.add_mutually_exclusive_group(required=True)
    makers.add_argument("--model", nargs="+")
    makers.add_argument("--copy", metavar="CODEC")
    makers.add_argument("--noise", action="store_true")
    parser.add_argument("--name", help="of the model, in the table")
    parser.add_argument("--prompt-text", action="store_true", help="the model also gets the text")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--top-p", type=float, default=0.9)
    parser.add_argument("--pointer", default="logit", choices=("logit", "printed"))
    parser.add_argument("--steps", type=int, help="of ResGen; default: the model's own")
    parser.add_argument("--guidance", type=float, default=0.0, help="of ResGen")
    parser.add_argument("--order", default="confidence", choices=("confidence", "random"))
    parser.add_argument("--tau", type=float, default=None, help="of ResGen's order")
    parser.add_argument("--limit", type=int, default=None, help="number of sentences")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.held_out = arguments.held_out.resolve()
    recordings = read(arguments.held_out / "manifest.tsv")
    texts = {row["audio"]: row["text"] for row in recordings}
    rows = [(n, row) for n, row in enumerate(recordings) if row["label"] != "prompt"][
        : arguments.limit
    ]
    if arguments.model:
        name = arguments.name or "+".join(Path(model).stem for model in arguments.model)
        make = models(arguments, texts)
    else:
        name = "noise" if arguments.noise else arguments.copy
        make = noise(arguments) if arguments.noise else copies(arguments)
    folder = arguments.out / part(name)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = arguments.out / "manifest.tsv"
    done = {row["audio"] for row in read(manifest)}
    missing = [
        (number, row, f"{folder.name}/{Path(row['audio']).stem}.wav") for number, row in rows
    ]
    missing = [entry for entry in missing if entry[2] not in done]
    for start in range(0, len(missing), arguments.batch):
        batch = missing[start : start + arguments.batch]
        make([entry[:2] for entry in batch], [arguments.out / entry[2] for entry in batch])
        for _, row, audio in batch:
            columns = {
                "audio": audio,
                "reference": arguments.held_out / row["audio"],
                "codec": name,
            }
            columns |= {key: row[key] for key in ("text", "speaker", "label")}
            append(manifest, columns | {"prompt": arguments.held_out / row["prompt"]})
        print(f"{start + len(batch)} of {len(missing)} sentences", flush=True)


if __name__ == "__main__":
    main()
