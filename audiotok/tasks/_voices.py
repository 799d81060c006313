"""What all speaker tasks share: similarity, identification and verification by one encoder.

Similarity is the cosine of reference and reconstruction. Cosines of different speakers are not 0,
so two numbers with known floors are given too. Both compare a reconstruction with the references of
other clips: the first ENROLLED clips of its own speaker, and of at most IMPOSTORS other speakers.
These speakers follow its own speaker in the circular order of the sha256 of their names. So the
work per clip does not grow with the corpus.

- identification: the share of reconstructions that are nearest to the mean of their own speaker;
- verification: each reconstruction with each of these clips is a trial, of the same speaker or of
  different ones. The equal error rate is the error rate at the threshold where false rejections and
  false acceptances are equally frequent: 0 if all trials are separated, 0.5 by chance.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import AudiotokError
from audiotok.judges.asr import fingerprint
from audiotok.judges.pretrained import slug
from audiotok.judges.speakers import Encoder
from audiotok.tasks import Column, Item, Task

if TYPE_CHECKING:
    import pandas

    from audiotok.data import Clip, Corpus
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

ENROLLED = 4
"""Clips that represent a speaker; the scored clip is not among them."""

IMPOSTORS = 40
"""Other speakers that a clip is compared with, at most: as many as test sets usually have."""

# Per process: (encoder, fingerprint of a sound or clip of the corpus) -> embedding or None.
_embeddings: dict[tuple[str, str], np.ndarray] = {}
_references: dict[tuple[str, Clip], np.ndarray | None] = {}


class Voices(Task):
    """Whether the speaker is preserved, by one encoder, whose model is part of the column names.

    The trials of each clip are stored in its row as text, cosines of the same speaker before those
    of different speakers: "0.8123 0.7901 | 0.5341". Clips of a corpus with texts or speakers that
    have neither (music, sounds) are left out.

    Ranked: the similarity of each reconstruction to its own reference. Identification and equal
    error rate depend on the similarity of the speakers in the corpus, and use the same cosines.
    """

    def __init__(self, encoder: Encoder):
        self.encoder = encoder
        self.suffix = type(self).name.removeprefix("speaker") + slug(encoder.label)
        if encoder.label:
            self.name = f"{type(self).name}:{encoder.label}"
        self.non_speech: frozenset[str] = frozenset()  # ids of clips where no speech is expected
        self.enrolment: dict[str, tuple[Clip, ...]] = {}  # by speaker
        self.speaker_order: list[str] = []  # speakers in the order of their hashes

    @property
    def identity(self) -> dict[str, str]:
        """Includes the number of impostors if it is limited: results of earlier versions, which
        compared with all speakers, have another identity."""
        limited = {"impostors": str(IMPOSTORS)} if len(self.speaker_order) > IMPOSTORS + 1 else {}
        return self.encoder.identity | limited

    @property
    def columns(self) -> tuple[Column, ...]:
        name = self.encoder.name
        fields = (
            ("similarity", True, 3, f"cosine of {name} embeddings"),
            (
                "identified",
                True,
                2,
                f"share that is nearest to the reference clips of its own speaker; {name}",
            ),
            (
                "eer",
                False,
                3,
                "equal error rate of trials with other reference clips, of the same and of other "
                f"speakers, up to {ENROLLED} of each; {name}",
            ),
        )
        return tuple(
            Column(f"speaker_{key}{self.suffix}", "", *description) for key, *description in fields
        )

    def available(self) -> str | None:
        return str(error) if (error := self.encoder.missing()) is not None else None

    def unsuited(self, corpus: Corpus) -> str | None:
        return corpus.no_speech()

    def prepare(self, corpus: Corpus) -> None:
        self.non_speech = frozenset(clip.id for clip in corpus if not corpus.is_speech(clip))
        clips: dict[str, list[Clip]] = {}
        for clip in corpus:
            if clip.speaker and len(same := clips.setdefault(clip.speaker, [])) <= ENROLLED:
                same.append(clip)
        self.enrolment = {speaker: tuple(same) for speaker, same in clips.items() if len(same) > 1}
        self.speaker_order = sorted(self.enrolment, key=_sha256)

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        if item.clip.id in self.non_speech:
            return {}
        reconstruction = self.embed(item.reconstruction)
        row = {}
        if item.reference is not None:
            row["similarity"] = float(self.embed(item.reference) @ reconstruction)
        if item.clip.speaker in self.enrolment and len(self.enrolment) > 1:
            row |= self._compare_speakers(item.clip, reconstruction)
        return {f"speaker_{name}{self.suffix}": value for name, value in row.items()}

    def _compare_speakers(self, clip: Clip, embedding: np.ndarray) -> dict[str, float | str]:
        """Whether the clip's own speaker is the nearest by its mean, and the trials."""
        similarities, cosines = {}, {True: [], False: []}
        for speaker in self._compared(clip.speaker):
            clips = self.enrolment[speaker]
            enrolled = [other for other in clips if other.id != clip.id][:ENROLLED]
            embeddings = [e for e in map(self._reference, enrolled) if e is not None]
            if embeddings:
                mean = np.mean(embeddings, axis=0)
                similarities[speaker] = float(embedding @ mean / np.linalg.norm(mean))
                cosines[speaker == clip.speaker] += [float(embedding @ e) for e in embeddings]
        own = similarities.pop(clip.speaker, -1.0)
        texts = (" ".join(f"{cosine:.4f}" for cosine in cosines[same]) for same in (True, False))
        return {
            "identified": float(own > max(similarities.values(), default=-1.0)),
            "trials": " | ".join(texts),
        }

    def _compared(self, speaker: str) -> list[str]:
        """The speakers that a clip of this speaker is compared with, itself included."""
        if len(self.speaker_order) <= IMPOSTORS + 1:
            return list(self.enrolment)
        order = self.speaker_order
        first = bisect_left(order, _sha256(speaker), key=_sha256)
        return [order[(first + i) % len(order)] for i in range(IMPOSTORS + 1)]

    def embed(self, audio: Audio) -> np.ndarray:
        """The embedding of a sound, cached in this process."""
        key = (self.encoder.name, fingerprint(audio))
        if key not in _embeddings:
            _embeddings[key] = self.encoder.embed(audio)
        return _embeddings[key]

    def _reference(self, clip: Clip) -> np.ndarray | None:
        """The embedding of a reference clip; None if it cannot be computed."""
        key = (self.encoder.name, clip)
        if key not in _references:
            try:
                _references[key] = self.embed(clip.read())
            except AudiotokError:
                _references[key] = None
        return _references[key]

    def basis(self, column: str) -> str:
        """An equal error rate counts the clips that have trials."""
        eer = column == f"speaker_eer{self.suffix}"
        return f"speaker_trials{self.suffix}" if eer else column

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        column = f"speaker_trials{self.suffix}"
        if column not in rows or not len(trials := rows[column].dropna()):
            return {}
        same, other = (np.concatenate(part) for part in zip(*map(_parsed, trials), strict=True))
        if not len(same) or not len(other):
            return {}
        return {f"speaker_eer{self.suffix}": equal_error_rate(same, other)}


def _sha256(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


@lru_cache(maxsize=10_000)
def _parsed(trials: str) -> tuple[np.ndarray, np.ndarray]:
    """The cosines of trials of the same speaker, and of different speakers."""
    same, _, other = trials.partition("|")
    return tuple(np.array(part.split(), dtype=np.float64) for part in (same, other))


def equal_error_rate(same: np.ndarray, other: np.ndarray) -> float:
    """Where the share of `same` below a threshold equals the share of `other` at or above it.

    Args:
        same, other: scores (n,) and (m,) of trials of the same speaker, and of different ones.

    Thresholds are the scores themselves; between two of them both shares are interpolated linearly.
    """
    thresholds = np.append(np.unique(np.concatenate([same, other])), np.inf)
    rejected = np.searchsorted(np.sort(same), thresholds) / len(same)
    accepted = 1 - np.searchsorted(np.sort(other), thresholds) / len(other)
    gap = rejected - accepted  # from -1 at the lowest threshold to 1 at infinity
    after = int(np.argmax(gap >= 0))
    part = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(rejected[after - 1] + part * (rejected[after] - rejected[after - 1]))
