"""Speaks the training corpus of audiotok/tts/, and the recordings of the held-out voices.

    python benchmarks/tts_corpus.py speak FOLDER --sentences A.tsv B.tsv [--reuse DIR] [--first N]
    python benchmarks/tts_corpus.py held-out FOLDER --sentences B.tsv
    python benchmarks/tts_corpus.py check FOLDER --whisper whisper-tiny.en

The voices are those of Kokoro-82M (`pip install kokoro-onnx==0.6.1`; its files
kokoro-v1.0.int8.onnx and voices-v1.0.bin in --kokoro): 20 of its English voices and 40 blends of
their style vectors. The voices HELD_OUT are in no blend; they alone speak in `held-out`: the
published sentences of benchmarks/tts/sentences.tsv, two voices each, and four prompts per voice.

Texts are the column `text` of the files (transcripts of LibriSpeech: columns utterance, text). Long
ones are cut into pieces of at most 13 words. Whoever reads a published sentence in LibriSpeech is
left out of the training texts, and so is each piece that shares four words in a row with one.

`speak` keeps clips of 2 to 5 s. Each folder has manifest.tsv (audio, text, speaker) and, for the
clips that were not kept, dropped.tsv. `check` transcribes the clips by Whisper (heard.tsv) and
writes checked.tsv: those rows of the manifest with at most 10 % of their words wrong. Each command
resumes where it stopped, and `check` may run while `speak` does. `speak` and `held-out` import only
kokoro-onnx, onnxruntime, soundfile and numpy; `check` imports audiotok. One thread; several
processes speak into folders of their own, each from another text on (--first). The models that
ship learnt from the first 759 clips, and 1,400 from text 4000 on, of test-clean and test-other.
"""

from __future__ import annotations

import argparse
import csv
import random
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

PUBLISHED = Path(__file__).parent / "tts" / "sentences.tsv"
HELD_OUT = (
    "af_river", "af_sky", "bf_lily", "am_michael", "am_puck", "am_santa", "bm_george", "bm_lewis",
)  # fmt: skip
BASE = (
    "af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_nova",
    "af_sarah", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_onyx", "bf_alice",
    "bf_emma", "bf_isabella", "bm_daniel", "bm_fable",
)  # fmt: skip
VOICES = 60
PROMPTS = 4  # of each held-out voice
MAX_WORDS, MIN_WORDS = 13, 6  # of a text; at a usual pace 2 to 5 s
SECONDS = (2.0, 5.0)
GRAM = 4  # words in a row that no training text shares with a published sentence
MAX_ERROR_RATE = 0.10


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a TSV file without quoting; [] where there is none. A last line that was not
    written to its end is cut off the file."""
    if not path.exists():
        return []
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        path.write_bytes(content := content[: content.rfind(b"\n") + 1])
    lines = content.decode().splitlines()
    return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def append(path: Path, row: dict[str, object]) -> None:
    """Adds a row to a TSV file, in one write; the first one brings the header."""
    lines = [row.values()] if path.exists() and path.stat().st_size else [row, row.values()]
    with open(path, "a", encoding="utf-8", newline="") as file:
        file.write("".join("\t".join(map(str, cells)) + "\n" for cells in lines))


def grams(text: str) -> set[tuple[str, ...]]:
    """Each GRAM words in a row."""
    words = text.split()
    return {tuple(words[start : start + GRAM]) for start in range(len(words) - GRAM + 1)}


def pieces(text: str) -> list[str]:
    """The text in as few nearly equal pieces of at most MAX_WORDS words as possible; none where
    they would have fewer than MIN_WORDS."""
    words = text.split()
    count = -(-len(words) // MAX_WORDS)
    cuts = [len(words) * number // count for number in range(count + 1)] if count else []
    parts = [words[start:end] for start, end in zip(cuts, cuts[1:], strict=False)]
    return [" ".join(piece) for piece in parts if len(piece) >= MIN_WORDS]


def reader(utterance: str) -> str:
    return utterance.partition("-")[0]


def texts(sentences: Iterable[dict[str, str]], published: Sequence[dict[str, str]]) -> list[str]:
    """Pieces of sentences (utterance, text) to learn from: no reader and no GRAM words in a row of
    the published sentences. Shuffled by a fixed seed."""
    readers = {reader(row["id"]) for row in published}
    excluded = set().union(*(grams(row["text"]) for row in published))
    training = [row["text"] for row in sentences if reader(row["utterance"]) not in readers]
    unique = dict.fromkeys(piece for text in training for piece in pieces(text))
    selected = [piece for piece in unique if not grams(piece) & excluded]
    random.Random(0).shuffle(selected)
    return selected


def prompt_texts(
    sentences: Iterable[dict[str, str]], published: Sequence[dict[str, str]]
) -> list[str]:
    """Sentences of the published sentences' readers that are not published, of 8 to 10 words."""
    readers = {reader(row["id"]) for row in published}
    excluded = set().union(*(grams(row["text"]) for row in published))
    selected = [
        row["text"]
        for row in sentences
        if reader(row["utterance"]) in readers
        and 8 <= len(row["text"].split()) <= 10
        and not grams(row["text"]) & excluded
    ]
    random.Random(1).shuffle(selected)
    return selected


def recipes() -> dict[str, dict[str, float]]:
    """{voice: {base voice: its share}} of VOICES voices; a blend has two base voices of one accent,
    and its name says them and the share of the first in percent."""
    blends = {voice: {voice: 1.0} for voice in BASE}
    rng = random.Random(0)
    pairs = [pair for pair in combinations(BASE, 2) if pair[0][0] == pair[1][0]]
    for first, second in rng.sample(pairs, VOICES - len(BASE)):
        percent = rng.choice((35, 40, 45, 50, 55, 60, 65))
        blends[f"{first}+{second}-{percent}"] = {first: percent / 100, second: 1 - percent / 100}
    return blends


class Speaker:
    """Kokoro, on one thread.

    Args:
        folder: of its two files.
    """

    def __init__(self, folder: Path):
        import onnxruntime
        from kokoro_onnx import Kokoro

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(folder / "kokoro-v1.0.int8.onnx"), options)
        self.kokoro = Kokoro.from_session(session, str(folder / "voices-v1.0.bin"))

    def __call__(self, path: Path, text: str, recipe: dict[str, float], speed: float) -> float:
        """Writes `text` spoken by the blend `recipe`; the seconds that it lasts."""
        import soundfile

        style = sum(share * self.kokoro.get_voice_style(name) for name, share in recipe.items())
        accent = "en-gb" if next(iter(recipe))[0] == "b" else "en-us"
        phones = self.kokoro.tokenizer.phonemize(text.capitalize() + ".", accent)
        sound, rate = self.kokoro.create(
            phones, voice=style.astype("float32"), speed=speed, is_phonemes=True
        )
        soundfile.write(path, sound, rate)
        return len(sound) / rate


def reuse(folder: Path, spoken: Path, published: Sequence[dict[str, str]]) -> None:
    """Copies the fitting clips of another folder of Kokoro's base voices into `folder`."""
    import soundfile

    excluded = set().union(*(grams(row["text"]) for row in published))
    existing = {row["audio"] for row in read(folder / "manifest.tsv")}
    for line in (spoken / "manifest.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        audio, text, speaker, *_ = line.split("\t")
        name = f"reused_{audio}"
        fits = speaker in BASE and not grams(text) & excluded
        if not fits or name in existing or not (spoken / audio).exists():
            continue
        if SECONDS[0] <= soundfile.info(spoken / audio).duration <= SECONDS[1]:
            shutil.copyfile(spoken / audio, folder / name)
            append(folder / "manifest.tsv", {"audio": name, "text": text, "speaker": speaker})


def speak(arguments: argparse.Namespace) -> None:
    """Speaks until `arguments.clips` clips are kept, reused ones among them."""
    folder, published = arguments.folder, read(PUBLISHED)
    sentences = [row for path in arguments.sentences for row in read(path)]
    training_texts, voices = texts(sentences, published), recipes()
    if arguments.reuse:
        reuse(folder, arguments.reuse, published)
    kept = [row["audio"] for row in read(folder / "manifest.tsv")]
    done = {*kept, *(row["audio"] for row in read(folder / "dropped.tsv"))}
    speaker, count, number = Speaker(arguments.kokoro), len(kept), arguments.first
    while count < arguments.clips:
        rng = random.Random(number)
        text, voice = (
            training_texts[number % len(training_texts)],
            list(voices)[number % len(voices)],
        )
        if number >= len(training_texts):  # the second time another voice speaks it
            voice = rng.choice(list(voices))
        name, speed = f"{number:06d}.flac", rng.uniform(0.85, 1.15)
        number += 1
        if name in done:
            continue
        seconds = speaker(folder / name, text, voices[voice], speed)
        row = {"audio": name, "text": text, "speaker": voice}
        if SECONDS[0] <= seconds <= SECONDS[1]:
            append(folder / "manifest.tsv", row)
            count += 1
        else:
            (folder / name).unlink()
            append(folder / "dropped.tsv", row | {"seconds": f"{seconds:.2f}"})
        if number % 50 == 0:
            print(f"{count} of {arguments.clips} clips", flush=True)


def held_out(arguments: argparse.Namespace) -> None:
    """Speaks the prompts and the published sentences by the held-out voices."""
    folder, published = arguments.folder, read(PUBLISHED)
    sentences = [row for path in arguments.sentences for row in read(path)]
    prompt_sentences = prompt_texts(sentences, published)
    plan, prompts = [], defaultdict(list)
    for number in range(PROMPTS * len(HELD_OUT)):
        voice = HELD_OUT[number % len(HELD_OUT)]
        name = f"prompt_{voice}_{number // len(HELD_OUT)}.flac"
        prompts[voice].append((name, prompt_sentences[number]))
        plan.append(
            {"audio": name, "text": prompt_sentences[number], "speaker": voice, "label": "prompt"}
        )
    for number, row in enumerate(published):
        for step in (0, len(HELD_OUT) // 2):
            voice = HELD_OUT[(number + step) % len(HELD_OUT)]
            prompt = prompts[voice][number // len(HELD_OUT) % PROMPTS][0]
            columns = {
                "text": row["text"],
                "speaker": voice,
                "label": row["kind"],
                "prompt": prompt,
            }
            plan.append({"audio": f"{row['id']}_{voice}.flac", **columns})
    done = {row["audio"] for row in read(folder / "manifest.tsv")}
    speaker = Speaker(arguments.kokoro)
    for number, row in enumerate(plan, 1):
        if row["audio"] not in done:
            speaker(folder / row["audio"], row["text"], {row["speaker"]: 1.0}, 1.0)
            append(folder / "manifest.tsv", {"prompt": ""} | row)
        print(f"{number} of {len(plan)} clips", flush=True)


def check(arguments: argparse.Namespace) -> None:
    """Transcribes what is in the manifest and not in heard.tsv, then writes checked.tsv."""
    import torch

    from audiotok.judges.asr import word_errors
    from audiotok.judges.asr.whisper import Whisper
    from audiotok.sound.audio import read as read_sound

    torch.set_num_threads(1)
    folder, recogniser = arguments.folder, Whisper(arguments.whisper)
    rows = read(folder / "manifest.tsv")
    transcribed = {row["audio"]: row for row in read(folder / "heard.tsv")}
    for number, row in enumerate(rows, 1):
        if row["audio"] not in transcribed:
            transcript = " ".join(recogniser.transcribe(read_sound(folder / row["audio"])).split())
            errors, words = word_errors(row["text"], transcript)
            transcribed[row["audio"]] = {"audio": row["audio"], "errors": errors, "words": words}
            append(folder / "heard.tsv", transcribed[row["audio"]] | {"heard": transcript})
        if number % 50 == 0:
            print(f"{number} of {len(rows)} clips", flush=True)
    kept = [
        row
        for row in rows
        if int((counts := transcribed[row["audio"]])["errors"])
        <= MAX_ERROR_RATE * int(counts["words"])
    ]
    lines = ["\t".join(row.values()) for row in (dict(zip(rows[0], rows[0], strict=True)), *kept)]
    temporary = folder / "checked.part"
    temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    temporary.replace(folder / "checked.tsv")
    print(f"{len(kept)} of {len(rows)} clips are kept: {folder / 'checked.tsv'}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(required=True)
    for verb in (speak, held_out, check):
        command = verbs.add_parser(verb.__name__.replace("_", "-"), help=verb.__doc__)
        command.set_defaults(verb=verb)
        command.add_argument("folder", type=Path)
        if verb is check:
            command.add_argument("--whisper", default="tiny.en", help="a size or a folder")
            continue
        command.add_argument("--sentences", type=Path, nargs="+", required=True)
        command.add_argument("--kokoro", type=Path, default=Path.home() / ".cache/audiotok/kokoro")
        if verb is speak:
            command.add_argument("--clips", type=int, default=8500)
            command.add_argument("--first", type=int, default=0, help="number of the first text")
            command.add_argument("--reuse", type=Path, default=None)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    arguments.verb(arguments)


if __name__ == "__main__":
    main()
