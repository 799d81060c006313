"""Times Whisper in CTranslate2, as `asr_whisper` runs it, against transformers, and compares WER.

    python benchmarks/speed/whisper.py MANIFEST --model FOLDER [--limit 50]

Each peer transcribes all clips of the manifest, one after the other: `audiotok` (int8, 5 beams),
CTranslate2 in float32, and transformers in float32 with 5 beams, with one, and with one in batches
of 10. `ratio` is the time of a peer divided by that of `audiotok`. Writes
results/speed/whisper-cpu.csv and .json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import timing
import torch

from audiotok import data
from audiotok.judges.asr import SAMPLE_RATE, mono, whisper, word_errors
from audiotok.sound.audio import Audio

PACKAGES = ("torch", "transformers", "ctranslate2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest")
    parser.add_argument("--model", required=True, help="folder of Whisper's weights")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    arguments = parser.parse_args()
    clips = data.load(arguments.manifest, limit=arguments.limit).clips
    sounds = [mono(clip.read()) for clip in clips]
    seconds = sum(sound.duration for sound in sounds)
    rows = []
    for name, transcribe in peers(arguments.model):
        transcribe(sounds[:1])
        start = time.perf_counter()
        texts = transcribe(sounds)
        elapsed = time.perf_counter() - start
        errors = [word_errors(c.text, text) for c, text in zip(clips, texts, strict=True)]
        wer = sum(e for e, _ in errors) / sum(n for _, n in errors)
        row = {"peer": name, "model": whisper.Whisper(arguments.model).label, "clips": len(clips)}
        rows.append(row | {"seconds": elapsed, "real_time_factor": seconds / elapsed, "wer": wer})
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table.insert(4, "ratio", table.seconds / table.seconds[0])
    timing.write(arguments.out, "whisper", table, PACKAGES)
    print(table.to_string(index=False))


def peers(model: str) -> Iterator[tuple[str, Callable[[list[Audio]], list[str]]]]:
    """Name and a function from sounds to texts."""
    for name, precision in (("audiotok", "int8"), ("CTranslate2 float32, 5 beams", "float32")):
        whisper.PRECISION = precision
        recogniser = whisper.Whisper(model)
        yield name, lambda sounds, r=recogniser: [r.transcribe(sound) for sound in sounds]
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    processor = WhisperProcessor.from_pretrained(model)
    network = WhisperForConditionalGeneration.from_pretrained(model).eval()
    options = {"do_sample": False}
    if getattr(network.generation_config, "is_multilingual", False):
        options |= {"language": "en", "task": "transcribe"}

    def search(beams: int, batch: int, sounds: list[Audio]) -> list[str]:
        texts = []
        for first in range(0, len(sounds), batch):
            waveforms = [sound.waveform[0].numpy() for sound in sounds[first : first + batch]]
            inputs = processor(waveforms, sampling_rate=SAMPLE_RATE, return_tensors="pt")
            with torch.inference_mode():
                codes = network.generate(inputs.input_features, num_beams=beams, **options)
            texts += processor.batch_decode(codes, skip_special_tokens=True)
        return texts

    for beams, batch in ((5, 1), (1, 1), (1, 10)):
        name = f"transformers float32, {beams} beam{'s' * (beams > 1)}, batches of {batch}"
        yield name, lambda sounds, b=beams, n=batch: search(b, n, sounds)


if __name__ == "__main__":
    main()
