"""Renders the bundled corpus, audiotok/bundled/corpus/: run once, its output is committed.

    python benchmarks/bundled_corpus.py [FOLDER]

Speech: matrix sentences (name verb number adjective noun, ten words in each slot) by voices of
flite and festival, Debian 12 packages flite, festival, festvox-kdlpc16k. Each voice says each word
of each slot once. Music and everyday sounds: computed here with numpy, seeded. All of it 16 kHz,
mono, 16-bit FLAC. LICENCES.md beside the output is written by hand.

pocketsphinx 5.1.1 on it, without a codec, 250 words: with the grammar 0 errors; with its general
model WER 0.168 (rms 0.06, slt 0.22, awb 0.16, kal 0.18, ked 0.22). Mean cosine of Resemblyzer's
embeddings: 0.86 to 0.91 within a voice, at most 0.68 across.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

from audiotok.sound.audio import Audio, as_audio, read, write

RATE = 16_000  # Hz
LEVEL = 10 ** (-26 / 20)  # RMS of speech and music, full scale 1
FOLDER = Path(__file__).resolve().parent.parent / "audiotok" / "bundled" / "corpus"
WORDS = {  # of twenty candidates each, those that pocketsphinx recognises best without a codec
    "name": "barbara catherine elizabeth george jennifer michael patricia richard robert thomas",
    "verb": "collected delivered found needed offered ordered produced received sold wanted",
    "number": "three five six seven twelve twenty thirty fifty sixty seventy",
    "adjective": "beautiful black broken expensive german japanese modern original private yellow",
    "noun": "blankets buildings carpets computers flowers horses machines papers products windows",
}
VOICES = {  # speaker: program, its name of the voice
    "rms": ("flite", "rms"),
    "slt": ("flite", "slt"),
    "awb": ("flite", "awb"),
    "kal": ("flite", "kal16"),
    "ked": ("festival", "ked_diphone"),
}
LICENCES = {"flite": "CMU Flite voice, see LICENCES.md", "festival": "CSTR voice, see LICENCES.md"}
OWN_LICENCE = "Apache-2.0"


def sentences(rng: np.random.Generator) -> list[str]:
    """Ten sentences which together hold each word of each slot once."""
    slots = [rng.permutation(words.split()) for words in WORDS.values()]
    return [" ".join(words) for words in zip(*slots, strict=True)]


def grammar() -> str:
    """The closed grammar (JSGF) of all 100,000 matrix sentences."""
    rules = [f"<{slot}> = {' | '.join(words.split())};" for slot, words in WORDS.items()]
    order = " ".join(f"<{slot}>" for slot in WORDS)
    return "\n".join(
        ["#JSGF V1.0;", "grammar matrix;", f"public <sentence> = {order};", *rules, ""]
    )


def speak(voice: str, text: str) -> Audio:
    """The sentence by a voice of VOICES, with 0.15 s of near silence around it."""
    program, name = VOICES[voice]
    text = text.capitalize() + "."
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/speech.wav"
        if program == "flite":
            subprocess.run(["flite", "-voice", name, "-t", text, "-o", path], check=True)
        else:
            command = ["text2wave", "-eval", f"(voice_{name})", "-o", path]
            subprocess.run(command, input=text.encode(), check=True)
        samples = read(path).to_channels(1).resample(RATE).waveform[0].numpy()
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    margin = int(0.15 * RATE)
    return level(np.pad(samples, margin)[loud[0] : loud[-1] + 2 * margin])


def level(samples: np.ndarray) -> Audio:
    """Scaled to LEVEL, or as loud as a peak of 0.9 allows."""
    samples = samples - samples.mean()
    scale = min(LEVEL / np.sqrt(np.mean(samples**2)), 0.9 / np.abs(samples).max())
    return as_audio(((scale * samples).astype(np.float32), RATE))


# Music and sounds: each takes a generator and gives samples at RATE, any scale.


def seconds(duration: float) -> np.ndarray:
    return np.arange(int(duration * RATE)) / RATE


def add(canvas: np.ndarray, start: float, sound: np.ndarray) -> None:
    """Adds `sound` to `canvas` at `start` seconds, cut at its end."""
    begin = int(start * RATE)
    canvas[begin : begin + len(sound)] += sound[: len(canvas) - begin]


def band(samples: np.ndarray, low: float, high: float) -> np.ndarray:
    return sosfilt(butter(2, [low, high], "bandpass", fs=RATE, output="sos"), samples)


def pluck(rng: np.random.Generator, frequency: float, duration: float) -> np.ndarray:
    """A plucked string (Karplus and Strong 1983)."""
    period = int(RATE / frequency - 0.5)
    burst = np.zeros(int(duration * RATE))
    burst[:period] = rng.uniform(-1, 1, period)
    loop = np.zeros(period + 2)
    loop[0], loop[period], loop[period + 1] = 1, -0.498, -0.498
    return lfilter([1.0], loop, burst)


def note(midi: float) -> float:
    """Hz of a MIDI note."""
    return 440 * 2 ** ((midi - 69) / 12)


def chords(rng):
    canvas = np.zeros(4 * RATE)
    for bar, chord in enumerate([(45, 52, 57, 60, 64), (41, 48, 53, 57, 60), (48, 55, 60, 64, 67)]):
        for string, midi in enumerate(chord):
            add(canvas, 1.2 * bar + 0.04 * string, pluck(rng, note(midi), 2.4))
    return canvas


def melody(rng):
    canvas = np.zeros(4 * RATE)
    for beat, midi in enumerate([67, 69, 71, 74, 72, 71, 69, 67]):
        t = seconds(0.55)
        phase = 2 * np.pi * note(midi) * t - 0.03 * np.cos(2 * np.pi * 5.5 * t) * 5
        tone = sum(np.sin(k * phase) * 0.5**k for k in range(1, 6))
        breath = 0.01 * rng.standard_normal(len(t))
        add(canvas, 0.48 * beat, (tone + breath) * np.sin(np.pi * t / t[-1]) ** 0.4)
    return canvas


def drums(rng):
    canvas = np.zeros(4 * RATE)
    t = seconds(0.3)
    kick = np.sin(2 * np.pi * (50 * t - 6 * np.exp(-t / 0.04))) * np.exp(-t / 0.09)
    for step in range(16):
        noise = rng.standard_normal(len(t))
        start = 0.24 * step
        add(canvas, start, 0.15 * band(noise, 5000, 7800) * np.exp(-t / 0.03))
        if step % 8 in (0, 3):
            add(canvas, start, kick)
        if step % 8 == 4:
            add(canvas, start, 0.5 * band(noise, 200, 4000) * np.exp(-t / 0.07))
    return canvas


def rain(rng):
    canvas = 0.15 * band(rng.standard_normal(4 * RATE), 400, 7500)
    for start in rng.uniform(0, 4, 160):
        t = seconds(0.02)
        drop = np.sin(2 * np.pi * rng.uniform(1500, 6000) * t) * np.exp(-t / 0.004)
        add(canvas, start, rng.exponential(0.5) * drop)
    return canvas


def door_knock(rng):
    canvas = 0.0005 * rng.standard_normal(3 * RATE)
    for start in (0.3, 0.62, 0.94, 1.9, 2.2):
        t = seconds(0.2)
        wood = sum(np.sin(2 * np.pi * f * t) * np.exp(-t * f / 8) for f in (110, 190, 340, 610))
        click = band(rng.standard_normal(len(t)), 500, 3000) * np.exp(-t / 0.005)
        add(canvas, start, rng.uniform(0.8, 1.0) * (wood + click))
    return canvas


def clock(rng):
    canvas = 0.0005 * rng.standard_normal(4 * RATE)
    for tick in range(8):
        t = seconds(0.05)
        tone = np.sin(2 * np.pi * (2600 if tick % 2 else 3100) * t) * np.exp(-t / 0.006)
        click = band(rng.standard_normal(len(t)), 2000, 7000) * np.exp(-t / 0.002)
        add(canvas, 0.1 + 0.5 * tick, tone + click)
    return canvas


def phone_ring(rng):
    t = seconds(3)
    bells = sum(np.sin(2 * np.pi * f * t) / k for k, f in enumerate((1330, 1600, 2660, 3990), 1))
    clapper = np.exp(-(t % 0.05) / 0.03)
    ringing = (t % 1.5 < 0.9) * (1 - np.exp(-(t % 1.5) / 0.01))
    return bells * clapper * ringing + 0.0005 * rng.standard_normal(len(t))


def birds(rng):
    canvas = 0.002 * rng.standard_normal(4 * RATE)
    for start in np.sort(rng.uniform(0, 3.6, 14)):
        t = seconds(rng.uniform(0.08, 0.25))
        low, sweep = rng.uniform(2500, 4500), rng.uniform(-8000, 8000)
        chirp = np.sin(2 * np.pi * (low * t + sweep * t**2 / 2) + 4 * np.sin(2 * np.pi * 28 * t))
        add(canvas, start, rng.uniform(0.2, 1) * chirp * np.sin(np.pi * t / t[-1]))
    return canvas


SYNTHESISED = {  # in the order of the manifest
    chords: "music",
    rain: "sound",
    melody: "music",
    door_knock: "sound",
    drums: "music",
    clock: "sound",
    phone_ring: "sound",
    birds: "sound",
}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    spoken = {voice: sentences(np.random.default_rng(k)) for k, voice in enumerate(VOICES)}
    for number in range(10):
        for voice, (program, _) in VOICES.items():
            text = spoken[voice][number]
            write(folder / f"{voice}_{number}.flac", speak(voice, text))
            rows.append((f"{voice}_{number}.flac", text, voice, "speech", LICENCES[program]))
    places = (2, 4, 11, 18, 25, 32, 39, 46)  # the first five clips are varied
    for (maker, label), place in zip(SYNTHESISED.items(), places, strict=True):
        name = f"{label}_{maker.__name__}.flac"
        write(folder / name, level(maker(np.random.default_rng(0))))
        rows.insert(place, (name, "", "", label, OWN_LICENCE))
    with open(folder / "manifest.tsv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["audio", "text", "speaker", "label", "licence"])
        writer.writerows(rows)
    (folder / "grammar.jsgf").write_text(grammar(), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    main(parser.parse_args().folder)
