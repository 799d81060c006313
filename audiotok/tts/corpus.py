"""The corpus that speech models learn from: codes and phones of every clip of a manifest.

`prepare` encodes the clips into shards of tokens (`audiotok.corpora`), a folder for each codec, and
aligns their phones into phones.jsonl, which all codecs share; both resume where they stopped.
`Utterances` reads them.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from audiotok import corpora, data
from audiotok.codec import registry
from audiotok.errors import CorpusError, MetricError, SpeechError
from audiotok.system import names
from audiotok.tts import alignment, phones

Note = Callable[[str], None]
PHONES = "phones.jsonl"


@dataclass(frozen=True)
class Utterance:
    """The phones of a clip, its speaker and its codes.

    Attributes:
        id, speaker: of the clip.
        codes: (K, T) int64, one channel.
        phones: (N,) int64 ids of `audiotok.tts.phones`, silence among them; empty if unknown.
        starts: N starts in seconds, the first 0.
        frame_rate: of the codes, Hz.
    """

    id: str
    speaker: str
    codes: Tensor
    phones: Tensor
    starts: tuple[float, ...]
    frame_rate: float

    def durations(self, merge: int = 1) -> Tensor:
        """Of each phone in units of `merge` frames, (N,) int64: at least 1 each, ceil(T / merge) in
        all; SpeechError if the sound is too short for its phones."""
        frames = -(-self.codes.shape[1] // merge)
        return alignment.durations(self.starts, frames, self.frame_rate / merge)


def prepare(
    manifest: str | Path, folder: str | Path, codec: str, note: Note = lambda text: None
) -> None:
    """Encodes and aligns what is missing in `folder`; clips that cannot be aligned are noted.

    Args:
        manifest: a corpus with `text` and `speaker`, as `audiotok.data.load` takes it.
        codec: its name with options.
        note: receives a line about each step.

    Raises:
        CorpusError: a clip has no text or no speaker, or the corpus cannot be encoded.
    """
    corpus = data.load(manifest)
    for clip in corpus:
        if not clip.text or not clip.speaker:
            column = "text" if clip.speaker else "speaker"
            raise CorpusError(
                f"{corpus.name}: the clip {clip.id} has no {column}: "
                "expected a manifest with the columns audio, text and speaker"
            )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    note(f"codes of {len(corpus)} clips by {codec}")
    corpora.encode(manifest, codec, _codes(folder, codec), workers=0)
    path = folder / PHONES
    # One process at a time: all codecs, and so several trainings, share this file.
    with FileLock(folder / ".lock"), open(path, "a", encoding="utf-8") as file:
        os.truncate(path, len(_complete_lines(path)))
        rows = _aligned(path)
        for number, clip in enumerate(corpus, 1):
            if clip.id not in rows:
                rows[clip.id] = row = _align(clip)
                file.write(json.dumps(row) + "\n")
            if number % 100 == 0:
                file.flush()
                note(f"phones of {number} of {len(corpus)} clips")
    failed = [row for clip in corpus if "error" in (row := rows[clip.id])]
    if failed:
        note(f"{len(failed)} clips cannot be aligned, e.g. {failed[0]['id']}: {failed[0]['error']}")


def is_prepared(manifest: str | Path, folder: str | Path, codec: str) -> bool:
    """Whether `prepare` would have nothing to do."""
    codes = _codes(Path(folder), codec)
    if not (codes / "_corpus.json").exists() or not corpora.Shards(codes).complete:
        return False
    return {clip.id for clip in data.load(manifest)} <= _aligned(Path(folder) / PHONES).keys()


def _align(clip: data.Clip) -> dict:
    try:
        aligned = alignment.align(clip.read(), clip.text)
    except (MetricError, SpeechError) as error:  # of this clip; other failures may be transient
        return {"id": clip.id, "error": str(error)}
    return {"id": clip.id, "phones": " ".join(aligned.names), "starts": aligned.starts}


def _codes(folder: Path, codec: str) -> Path:
    return folder / names.part(codec)


def _aligned(path: Path) -> dict[str, dict]:
    """The rows of phones.jsonl by id."""
    rows = (
        [json.loads(line) for line in _complete_lines(path).splitlines()] if path.exists() else []
    )
    return {row["id"]: row for row in rows}


def _complete_lines(path: Path) -> bytes:
    """The content of a file without an incomplete last line."""
    content = path.read_bytes()
    return content[: content.rfind(b"\n") + 1]


class Utterances:
    """The utterances of a prepared corpus, sorted by id.

    Args:
        folder: as given to `prepare`.
        codec: its name with options.
        merge: utterances with more phones than units of this many frames are left out.

    Raises:
        CorpusError: nothing was prepared there.
    """

    def __init__(self, folder: str | Path, codec: str, merge: int = 1):
        self.shards = corpora.Shards(_codes(Path(folder), codec))
        card = registry.find_card(codec)
        self.fingerprint: str = self.shards.metadata["fingerprint"]
        self.frame_rate = card.sample_rate_in / card.hop_length
        aligned = _aligned(Path(folder) / PHONES)
        utterances = []
        for clip, tokens in self.shards:
            row = aligned.get(clip.id, {})
            if "phones" in row:
                ids = torch.tensor(phones.ids(row["phones"].split()))
                starts = tuple(row["starts"])
                utterances.append(
                    Utterance(
                        clip.id, clip.speaker, tokens.codes[0].long(), ids, starts,
                        self.frame_rate,
                    )
                )  # fmt: skip
        fitting = (utterance for utterance in utterances if _fits(utterance, merge))
        self.all = sorted(fitting, key=lambda utterance: utterance.id)
        if not self.all:
            raise CorpusError(f"{folder} has no aligned utterance: was the corpus prepared?")

    def __len__(self) -> int:
        return len(self.all)

    def split(self, every: int) -> tuple[list[Utterance], list[Utterance]]:
        """Training and validation utterances; every `every`-th of a speaker is for validation."""
        groups = list(by_speaker(self.all).values())
        train = [clip for group in groups for n, clip in enumerate(group, 1) if n % every]
        validation = [clip for group in groups for clip in group[every - 1 :: every]]
        return train, validation


def _fits(utterance: Utterance, merge: int) -> bool:
    try:
        utterance.durations(merge)
    except SpeechError:
        return False
    return True


def by_speaker(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """{speaker: utterances}, in their order."""
    groups: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        groups[utterance.speaker].append(utterance)
    return dict(groups)
