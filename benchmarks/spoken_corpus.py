"""Renders speech with known text in any amount by voices of Debian: the training data of asr-mini.

    python benchmarks/spoken_corpus.py FOLDER [--clips 7000] [--workers 2]

Each clip is 1 to 9 words, drawn at random from the 6,000 most frequent words of pocketsphinx's
language model, weighted by the square root of their frequencies: nobody's text, so nobody's
licence. Voices differ in accent, timbre, pitch and speed. A manifest says audio, speaker, text and
split; the voices of HELD_OUT speak only in `test`, and its texts are new too. Debian 12 packages
flite, espeak-ng, and libttspico-utils of non-free. 16 kHz, mono, 16-bit FLAC. The same command
gives the same clips.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from bundled_corpus import RATE, level
from rich.progress import track

from audiotok.errors import CorpusError
from audiotok.sound.audio import read, write
from audiotok.system.files import replacing

WORDS = 6000
SECONDS = 4.0  # longer clips are spoken again without their last words
ACCENTS = ("en-us", "en-us", "en-us", "en-gb", "en-gb-scotland")  # of espeak-ng
VOICES = {
    "flite": ("rms", "slt", "awb", "kal16"),
    "pico2wave": ("en-US", "en-GB"),
    "espeak-ng": (
        *("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5"),
        *("klatt", "klatt2", "klatt4", "Alex", "Alicia", "Andrea", "Andy", "Annie", "belinda"),
        *("Denis", "Diogo", "Gene", "Jacky", "Lee", "Linda", "Mario", "Mike"),
    ),
}
SHARES = {"flite": 0.45, "pico2wave": 0.25, "espeak-ng": 0.3}  # the better voices speak more
HELD_OUT = ("kal16", "en-GB", "f2", "m4", "Andrea")
TEST = 0.04  # share of the clips


def vocabulary() -> tuple[list[str], np.ndarray]:
    """WORDS words and their weights, which sum to 1."""
    from pocketsphinx import Config, LogMath, NGramModel, get_model_path

    folder = Path(get_model_path()) / "en-us"
    logarithms = LogMath()
    model = str(folder / "en-us.lm.bin")
    ngrams = NGramModel(Config(lm=model), logarithms, model)
    lines = (folder / "cmudict-en-us.dict").read_text(encoding="utf-8").splitlines()
    words = {line.split()[0] for line in lines}
    words = [word for word in words if word.isalpha() and (len(word) > 1 or word in "ai")]
    scored = sorted(((ngrams.prob([word]), word) for word in words), reverse=True)[:WORDS]
    weights = np.array([logarithms.exp(score) for score, _ in scored]) ** 0.5
    return [word for _, word in scored], weights / weights.sum()


def plan(clips: int) -> list[dict]:
    """The text, the voice and the settings of each clip; seeded."""
    rng = np.random.default_rng(0)
    words, weights = vocabulary()
    clip_plans = []
    for number in range(clips):
        test = rng.random() < TEST
        while True:
            program = str(rng.choice(list(SHARES), p=list(SHARES.values())))
            voice = str(rng.choice(VOICES[program]))
            if (voice in HELD_OUT) == test:
                break
        clip_plans.append(
            {
                "name": f"{number:06d}",
                "program": program,
                "voice": voice,
                "accent": str(rng.choice(ACCENTS)),
                "pace": float(rng.uniform(0.8, 1.2)),
                "pitch": float(rng.uniform(0.75, 1.35)),
                "text": list(map(str, rng.choice(words, int(rng.integers(1, 10)), p=weights))),
                "split": "test" if test else "train",
            }
        )
    return clip_plans


def speak(clip: dict, folder: Path) -> dict[str, str]:
    """Renders one clip; its row of the manifest."""
    text = list(clip["text"])
    while True:
        samples = _render(clip, " ".join(text))
        if len(samples) <= SECONDS * RATE or len(text) == 1:
            break
        text.pop()
    write(folder / f"{clip['name']}.flac", level(samples[: int(SECONDS * RATE)]))
    return {
        "audio": f"{clip['name']}.flac",
        "speaker": f"{clip['program']}-{clip['voice']}",
        "text": " ".join(text),
        "split": clip["split"],
    }


def _render(clip: dict, text: str) -> np.ndarray:
    """Samples at RATE, with 0.1 s of silence around the speech."""
    with tempfile.TemporaryDirectory() as scratch:
        path = f"{scratch}/speech.wav"
        command = _command(clip, text, path)
        subprocess.run(command, check=True, capture_output=True)
        samples = read(path).to_channels(1).resample(RATE).waveform[0].numpy()
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    margin = RATE // 10
    return np.pad(samples, margin)[loud[0] : loud[-1] + 2 * margin]


def _command(clip: dict, text: str, path: str) -> list[str]:
    """The command that speaks the text into a file."""
    voice, pace, pitch = clip["voice"], clip["pace"], clip["pitch"]
    if clip["program"] == "flite":
        hertz = {"slt": 170, "rms": 100, "awb": 125, "kal16": 105}[voice] * pitch
        settings = {"duration_stretch": 1 / pace, "int_f0_target_mean": hertz}
        options = [
            part for key, value in settings.items() for part in ("--setf", f"{key}={value:.2f}")
        ]
        return ["flite", "-voice", voice, *options, "-t", text, "-o", path]
    if clip["program"] == "pico2wave":
        levels = f"{100 * pitch:.0f}", f"{100 * pace:.0f}"
        markup = '<pitch level="{}"><speed level="{}">{}</speed></pitch>'.format(*levels, text)
        return ["pico2wave", "-l", voice, "-w", path, markup]
    voice = f"{clip['accent']}+{voice}"
    options = ["-s", f"{165 * pace:.0f}", "-p", f"{50 * pitch:.0f}"]
    return ["espeak-ng", "-v", voice, *options, "-w", path, text]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=7000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    clips = plan(arguments.clips)
    with ProcessPoolExecutor(arguments.workers) as pool:
        spoken = pool.map(speak, clips, [folder] * len(clips), chunksize=16)
        rows = list(track(spoken, "speaking", len(clips)))
    lines = ["\t".join(row.values()) for row in [dict(zip(rows[0], rows[0], strict=True)), *rows]]
    with replacing(folder / "manifest.tsv", CorpusError) as file:
        file.write("".join(line + "\n" for line in lines).encode())


if __name__ == "__main__":
    main()
