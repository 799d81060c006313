"""Speaks the sentences of the suite tts with tokens or durations of the recording, for VALL-E R.

It shows which of the two models causes the errors.

    python benchmarks/tts_oracle.py HELD_OUT OUT --model AR NAR --given first
    python benchmarks/tts_oracle.py HELD_OUT OUT --model AR NAR --given durations

`first`: the first tokens and the phones are those of the recording, the second model makes the
rest. `durations`: the lengths of the phones are those of the recording. Rows are added to
OUT/manifest.tsv, as by tts_speak.py. Clips that cannot be aligned are left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tts_corpus import append, read

from audiotok.errors import AudiotokError
from audiotok.sound.audio import read as read_sound
from audiotok.sound.audio import write
from audiotok.tts.alignment import align, durations
from audiotok.tts.base import Request
from audiotok.tts.say import Speaker
from audiotok.tts.valle import ValleR


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("held_out", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", nargs="+", required=True)
    parser.add_argument("--given", choices=("first", "durations"), required=True)
    parser.add_argument("--limit", type=int, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    speaker, held_out = Speaker(*arguments.model), arguments.held_out.resolve()
    model, name = speaker.model, f"given-{arguments.given}"
    if arguments.given == "first" and not isinstance(model, ValleR):
        parser.error("--given first needs the two models of VALL-E R, valle-ar and valle-nar")
    (arguments.out / name).mkdir(parents=True, exist_ok=True)
    done = {row["audio"] for row in read(arguments.out / "manifest.tsv")}
    rows = [row for row in read(held_out / "manifest.tsv") if row["label"] != "prompt"]
    for number, row in enumerate(rows[: arguments.limit]):
        audio = f"{name}/{Path(row['audio']).stem}.wav"
        if audio in done:
            continue
        sound = read_sound(held_out / row["audio"])
        try:
            alignment = align(sound, row["text"])
            codes = speaker.codec.encode(sound).codes[0].long()
            units = -(-codes.shape[1] // model.merge)
            lengths = durations(alignment.starts, units, 1 / speaker.unit)
        except AudiotokError as error:
            print(f"{row['audio']} left out: {error}")
            continue
        prompt = speaker.prompt(held_out / row["prompt"])
        request = Request(alignment.ids, prompt, lengths, number)
        if arguments.given == "first":
            first = model.ar.first_tokens(codes).repeat_interleave(model.merge)
            speech = speaker.decode(model.nar.fill([request], [first])[0])
        else:
            speech = speaker.speak([request])[0].audio
        write(arguments.out / audio, speech, comment='{"synthetic": true}')
        columns = {"audio": audio, "reference": held_out / row["audio"], "codec": name}
        columns |= {key: row[key] for key in ("text", "speaker", "label")}
        append(arguments.out / "manifest.tsv", columns | {"prompt": held_out / row["prompt"]})


if __name__ == "__main__":
    main()
