"""Pairs of a right and a wrong sound; a language model should find the right one more likely.

Made from the clips of the corpus like SALMon (Maimon et al. 2024, arXiv 2409.07437), but both
sounds of a pair have a cut, so that the cut does not reveal the wrong one:

- speaker: a piece of a clip, then a piece of another clip by the same speaker (right) or by another
  speaker (wrong); the second piece has the power of the first in both.
- background: a clip with one background sound (right), or with another one in its second half
  (wrong).
- reversed: a clip (right), or the same clip reversed in time (wrong).

Published pairs (sWUGGY, sBLIMP, StoryCloze, SALMon) are files, see `read`.
"""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiotok.data import _noise
from audiotok.errors import AudiotokError, CorpusError, MetricError
from audiotok.sound.audio import Audio, as_audio
from audiotok.system import names

if TYPE_CHECKING:
    from audiotok.data import Corpus

KINDS = ("speaker", "background", "reversed")
PIECE = 2.0  # seconds; a pair has two pieces
SNR = 10.0  # dB of the sound above its background


@dataclass(frozen=True)
class Pair:
    """Two sounds of equal length; `clip` is the index of the clip that they are made of."""

    kind: str
    clip: int
    right: Audio
    wrong: Audio


def of_corpus(corpus: Corpus, chosen: Sequence[int]) -> Iterator[Pair]:
    """The pairs of these clips, the same at every call; clips under two pieces have none."""
    sounds: dict[int, Audio] = {}
    for index in chosen:
        try:
            sound = corpus.clips[index].original().to_channels(1)
        except AudiotokError:
            continue
        if sound.duration >= 2 * PIECE and sound.waveform.any():
            sounds[index] = sound
    for index, sound in sounds.items():
        clip = corpus.clips[index]
        whole = _piece(sound, 0.0, 2 * PIECE)
        random = _noise.generator(sound, "pairs")
        yield Pair("reversed", index, whole, Audio(whole.waveform.flip(1), whole.sample_rate))
        with contextlib.suppress(MetricError):  # silence
            yield _background(index, whole, random)
        if clip.speaker is None:
            continue
        speakers = {i: corpus.clips[i].speaker for i in sounds if i != index}
        same = [i for i, speaker in speakers.items() if speaker == clip.speaker]
        different = [i for i, speaker in speakers.items() if speaker not in (None, clip.speaker)]
        if same and different:
            ends = (
                sounds[random.choice(clips)].resample(sound.sample_rate)
                for clips in (same, different)
            )
            first = _piece(sound, 0.0, PIECE)
            yield Pair("speaker", index, *(_joined(first, end) for end in ends))


def _background(index: int, whole: Audio, random: np.random.Generator) -> Pair:
    """With one background sound, or with two, each SNR dB below the clip."""
    half = whole.num_samples // 2
    pieces = [np.split(noise, [half], axis=1) for noise in _noise.backgrounds(whole, random)]
    first, second = ([part / (np.square(part).mean() ** 0.5 or 1.0) for part in p] for p in pieces)
    noises = (np.concatenate(halves, axis=1) for halves in (first, [first[0], second[1]]))
    return Pair("background", index, *(_noise.noisy(whole, noise, SNR) for noise in noises))


def _piece(sound: Audio, start: float, seconds: float) -> Audio:
    rate = sound.sample_rate
    first = round(start * rate)
    return Audio(sound.waveform[:, first : first + round(seconds * rate)], rate)


def _joined(first: Audio, next_clip: Audio) -> Audio:
    """A piece, then the second piece of a clip with the power of the first."""
    second = _piece(next_clip, PIECE, PIECE).waveform
    power = [float(part.double().square().mean()) for part in (first.waveform, second)]
    gain = (power[0] / power[1]) ** 0.5 if power[1] else 1.0
    return Audio(torch.cat([first.waveform, gain * second], 1), first.sample_rate)


# --- published pairs -------------------------------------------------------------------------


@dataclass(frozen=True)
class FilePair:
    """Two files; the pairs of one `group`, such as an item in several voices, count once."""

    kind: str
    group: str
    right: Path
    wrong: Path


def read(folder: str | Path, kind: str | None = None) -> list[FilePair]:
    """The pairs of a folder on this machine.

    Args:
        folder: with `pairs.tsv` (columns right, wrong, and where known kind and group; paths
            relative to it); or a set of ZeroSpeech 2021, `lexical/dev` (sWUGGY) or `syntactic/dev`
            (sBLIMP), with its gold.csv, or the gold.csv itself beside the sounds; or a part of
            SALMon, such as `speaker_consistency`, as files sample_NUMBER_*.wav, of which the first
            by name is right; or spoken StoryCloze, sSC or tSC (Hassid et al. 2023, arXiv
            2305.13009), as files STORY_correct.wav and STORY_incorrect.wav.
        kind: of pairs whose files do not name it; None: the name of the folder.

    Raises:
        CorpusError: no such layout, or a file of a pair is missing.
    """
    folder = Path(folder)
    name = kind or folder.name
    if (folder / "pairs.tsv").is_file():
        file_pairs = [
            FilePair(row.get("kind") or name, row.get("group") or str(number),
                     _inside(folder, row["right"]), _inside(folder, row["wrong"]))
            for number, row in enumerate(_table(folder / "pairs.tsv", "\t", ("right", "wrong")))
        ]  # fmt: skip
    elif (folder / "gold.csv").is_file():
        file_pairs = _of_zerospeech(folder, name)
    else:
        file_pairs = _of_salmon(folder, name) or _of_storycloze(folder, name)
    if not file_pairs:
        raise CorpusError(
            f"{folder} has no pairs: expected a pairs.tsv, a gold.csv of ZeroSpeech 2021, files "
            "sample_NUMBER_*.wav of SALMon, or STORY_correct.wav and STORY_incorrect.wav"
        )
    for pair in file_pairs:
        for path in (pair.right, pair.wrong):
            if not path.is_file():
                raise CorpusError(f"{folder} names {path}, which does not exist")
    return file_pairs


def _inside(folder: Path, value: str | None) -> Path:
    try:
        return names.inside(folder, value or "")
    except ValueError as reason:
        raise CorpusError(f"{folder} names {value!r:.200}, which {reason}") from None


def _table(path: Path, delimiter: str, needed: Sequence[str]) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, delimiter=delimiter)
        if missing := [name for name in needed if name not in (reader.fieldnames or ())]:
            raise CorpusError(f"{path} has no columns {', '.join(missing)}")
        return list(reader)


def _of_zerospeech(folder: Path, kind: str) -> list[FilePair]:
    """Pairs of the right and wrong files of each item and voice, in the order of the list; an item
    counts once over its voices. In sBLIMP ids are unique within a subtype only."""
    sides: dict[tuple[str, str], tuple[list[Path], list[Path]]] = {}
    for row in _table(folder / "gold.csv", ",", ("id", "filename", "voice", "correct")):
        path = _inside(folder, row["filename"])
        path = path if path.suffix else path.with_suffix(".wav")
        item = "/".join(row[name] for name in ("type", "subtype", "id") if row.get(name))
        wrong, right = sides.setdefault((item, row["voice"]), ([], []))
        (right if row["correct"].strip() == "1" else wrong).append(path)
    return [
        FilePair(kind, item, *pair)
        for (item, _), (wrong, right) in sides.items()
        for pair in zip(right, wrong, strict=False)
    ]


def _of_salmon(folder: Path, kind: str) -> list[FilePair]:
    samples: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("sample_*_*.wav")):
        samples.setdefault(path.stem.split("_")[1], []).append(path)
    return [FilePair(kind, number, *paths) for number, paths in samples.items() if len(paths) == 2]


def _of_storycloze(folder: Path, kind: str) -> list[FilePair]:
    right = {path.name.removesuffix("_correct.wav"): path for path in folder.glob("*_correct.wav")}
    return [
        FilePair(kind, story, path, folder / f"{story}_incorrect.wav")
        for story, path in sorted(right.items())
    ]


@dataclass(frozen=True)
class Judged:
    """Share of groups in which the right sound was more likely, with Wilson's 95 % interval."""

    accuracy: float
    low: float
    high: float
    groups: int


def judge(prefers: Callable[[Audio, Audio], float], pairs: Sequence[FilePair]) -> dict[str, Judged]:
    """{kind: result} of pairs of files.

    Args:
        prefers: (right, wrong) -> 1, 0, or 0.5 if both are equally likely; such as
            `lambda a, b: acoustic.prefers(model, codec.encode(a).codes, codec.encode(b).codes)`.
    """
    votes: dict[str, dict[str, list[float]]] = {}
    for pair in pairs:
        vote = prefers(as_audio(pair.right), as_audio(pair.wrong))
        votes.setdefault(pair.kind, {}).setdefault(pair.group, []).append(vote)
    results = {}
    for kind, groups in votes.items():
        hits = sum(float(np.mean(group_votes)) for group_votes in groups.values())
        results[kind] = Judged(hits / len(groups), *wilson(hits, len(groups)), len(groups))
    return results


def wilson(hits: float, count: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of the share `hits` / `count` (Wilson 1927)."""
    share = hits / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * (share * (1 - share) / count + (z / (2 * count)) ** 2) ** 0.5 / (1 + z * z / count)
    return middle - half, middle + half
