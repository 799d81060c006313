"""How well a model follows given durations: those of recordings are spoken and aligned again.

    python benchmarks/tts_durations.py HELD_OUT OUT.csv --model AR.safetensors NAR.safetensors

For each published sentence the phones of the recording are aligned and spoken by the model with
these durations, in the voice of the prompt. The speech is aligned too, and so is the codec's copy
of the recording, which shows the accuracy of the aligner. Clips in which it finds other phones are
left out and counted. Writes the correlation of the durations, silence aside, of each voice and of
all.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tts_corpus import read

from audiotok.errors import AudiotokError, ResultsError
from audiotok.sound.audio import Audio
from audiotok.sound.audio import read as read_sound
from audiotok.system.files import replacing
from audiotok.tts import phones
from audiotok.tts.alignment import Alignment, align
from audiotok.tts.base import Request
from audiotok.tts.durations import Durations
from audiotok.tts.say import Speaker
from audiotok.tts.text import SILENCE


def lengths(alignment: Alignment, duration: float) -> Durations:
    """Seconds of each phone of a sound that lasts `duration` seconds."""
    ends = [*alignment.starts[1:], max(duration, alignment.starts[-1] + 0.01)]
    return Durations(
        alignment.names,
        tuple(end - start for start, end in zip(alignment.starts, ends, strict=True)),
    )


def spoken(sound: Audio, text: str) -> Durations:
    return lengths(align(sound, text), sound.duration)


def voiced(durations: Durations) -> tuple[list[str], list[float]]:
    """Phones that are no silence, and their seconds."""
    pairs = zip(durations.phones, durations.seconds, strict=True)
    speech = [(name, seconds) for name, seconds in pairs if name != SILENCE]
    return [name for name, _ in speech], [seconds for _, seconds in speech]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("held_out", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", nargs="+", required=True)
    parser.add_argument("--limit", type=int, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    speaker = Speaker(*arguments.model)
    rows = [row for row in read(arguments.held_out / "manifest.tsv") if row["label"] == "plain"]
    pairs = []
    failed = {"model": 0, "copy": 0}
    for number, row in enumerate(rows[: arguments.limit]):
        sound = read_sound(arguments.held_out / row["audio"])
        try:
            given = spoken(sound, row["text"])
            prompt = speaker.prompt(arguments.held_out / row["prompt"])
            ids = torch.tensor(phones.ids(given.phones))
            request = Request(ids, prompt, given.units(speaker.unit), number)
            generated = speaker.speak([request])[0].audio
        except AudiotokError as error:
            print(f"{row['audio']} left out: {error}")
            continue
        for system, speech in (
            ("model", generated),
            ("copy", speaker.codec.reconstruct(sound)),
        ):
            try:
                aligned = voiced(spoken(speech, row["text"]))
            except AudiotokError:
                aligned = ([], [])
            names, expected = voiced(given)
            if aligned[0] != names:
                failed[system] += 1
                continue
            pairs += [
                {"what": system, "speaker": row["speaker"], "given": a, "found": b}
                for a, b in zip(expected, aligned[1], strict=True)
            ]
    if not pairs:
        parser.exit(2, f"no clip has the phones of its text, so nothing is written: {failed}\n")
    table = pd.DataFrame(pairs)
    summary = []
    for system, group in table.groupby("what"):
        for voice, durations in [("all", group), *group.groupby("speaker")]:
            value = np.corrcoef(durations["given"], durations["found"])[0, 1]
            summary.append(
                {
                    "what": system,
                    "speaker": voice,
                    "phones": len(durations),
                    "r": round(value, 4),
                }
            )
    with replacing(arguments.out, ResultsError) as file:
        file.write(pd.DataFrame(summary).to_csv(index=False).encode())
    print(pd.DataFrame(summary).to_string(), f"clips left out: {failed}", sep="\n")


if __name__ == "__main__":
    main()
