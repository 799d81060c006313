"""What all speaker tasks share: similarity, identification and verification by one encoder.

Similarity is the cosine of reference and reconstruction. Cosines of different voices are not 0, so
two numbers with known floors stand beside it. Both compare a reconstruction with references of
other clips, the first ENROLLED of its own speaker and of each other speaker, IMPOSTORS at most:
those that follow the own one in the order of the sha256 of their names, in a circle. So the work of
a clip does not grow with the corpus.

- identification: the share of reconstructions that lie nearest to the mean of their own speaker;
- verification: each reconstruction with each of these clips is a trial, of one voice or of two. The
  equal error rate of all trials is where as many of one voice are refused as of two accepted:
  0 where all are told apart, 0.5 by chance.
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
"""Clips that stand for a speaker; the clip in question is not among them."""

IMPOSTORS = 40
"""Other speakers that a clip is compared with, at most: as many as test sets usually have."""

# Per process: (encoder, fingerprint of a sound) -> embedding; of a clip of the corpus or None.
_embeddings: dict[tuple[str, str], np.ndarray] = {}
_references: dict[tuple[str, Clip], np.ndarray | None] = {}


class Voices(Task):
    """Whether it is still the same voice, by one encoder, whose model the columns carry.

    The trials of each clip stand in its row as a text, cosines of one voice before those of two:
    "0.8123 0.7901 | 0.5341". Clips of a corpus with texts or speakers that have neither (music,
    sounds) are left out.

    Ranked: the similarity of each reconstruction to its own reference. Identification and equal
    error rate depend on how alike the speakers of the corpus are, and repeat the same cosines.
    """

    def __init__(self, encoder: Encoder):
        self.encoder = encoder
        self.suffix = type(self).name.removeprefix("speaker") + slug(encoder.label)
        if encoder.label:
            self.name = f"{type(self).name}:{encoder.label}"
        self.silent: frozenset[str] = frozenset()  # ids of clips where no speech is expected
        self.enrolment: dict[str, tuple[Clip, ...]] = {}  # by speaker
        self.circle: list[str] = []  # speakers in the order of their hashes

    @property
    def identity(self) -> dict[str, str]:
        """With the number of other speakers, where it is limited: results of earlier versions,
        which compared with all of them, are others."""
        limited = {"impostors": str(IMPOSTORS)} if len(self.circle) > IMPOSTORS + 1 else {}
        return self.encoder.identity | limited

    @property
    def columns(self) -> tuple[Column, ...]:
        name = self.encoder.name
        found = (
            ("similarity", True, 3, f"cosine of {name} embeddings"),
            (
                "identified",
                True,
                2,
                f"share nearest to other reference clips of the same speaker, of all; {name}",
            ),
            (
                "eer",
                False,
                3,
                "equal error rate of trials with other reference clips, of the same and of other "
                f"speakers, up to {ENROLLED} of each; {name}",
            ),
        )
        return tuple(Column(f"speaker_{what}{self.suffix}", "", *about) for what, *about in found)

    def available(self) -> str | None:
        return str(error) if (error := self.encoder.missing()) is not None else None

    def unsuited(self, corpus: Corpus) -> str | None:
        return corpus.no_speech()

    def prepare(self, corpus: Corpus) -> None:
        self.silent = frozenset(clip.id for clip in corpus if not corpus.is_speech(clip))
        clips: dict[str, list[Clip]] = {}
        for clip in corpus:
            if clip.speaker and len(same := clips.setdefault(clip.speaker, [])) <= ENROLLED:
                same.append(clip)
        self.enrolment = {speaker: tuple(same) for speaker, same in clips.items() if len(same) > 1}
        self.circle = sorted(self.enrolment, key=_sha256)

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        if item.clip.id in self.silent:
            return {}
        reconstruction = self.embed(item.reconstruction)
        row = {}
        if item.reference is not None:
            row["similarity"] = float(self.embed(item.reference) @ reconstruction)
        if item.clip.speaker in self.enrolment and len(self.enrolment) > 1:
            row |= self._against_others(item.clip, reconstruction)
        return {f"speaker_{what}{self.suffix}": value for what, value in row.items()}

    def _against_others(self, clip: Clip, embedding: np.ndarray) -> dict[str, float | str]:
        """Whether no other speaker's mean is as near as the clip's own, and the trials."""
        nearness, cosines = {}, {True: [], False: []}
        for speaker in self._compared(clip.speaker):
            clips = self.enrolment[speaker]
            others = [other for other in clips if other.id != clip.id][:ENROLLED]
            known = [e for e in map(self._reference, others) if e is not None]
            if known:
                mean = np.mean(known, axis=0)
                nearness[speaker] = float(embedding @ mean / np.linalg.norm(mean))
                cosines[speaker == clip.speaker] += [float(embedding @ e) for e in known]
        own = nearness.pop(clip.speaker, -1.0)
        texts = (" ".join(f"{cosine:.4f}" for cosine in cosines[same]) for same in (True, False))
        return {
            "identified": float(own > max(nearness.values(), default=-1.0)),
            "trials": " | ".join(texts),
        }

    def _compared(self, speaker: str) -> list[str]:
        """The speakers that a clip of this one is compared with, itself among them."""
        if len(self.circle) <= IMPOSTORS + 1:
            return list(self.enrolment)
        first = bisect_left(self.circle, _sha256(speaker), key=_sha256)
        return [self.circle[(first + i) % len(self.circle)] for i in range(IMPOSTORS + 1)]

    def embed(self, audio: Audio) -> np.ndarray:
        """What the encoder gives; a sound this process has heard before is not heard again."""
        key = (self.encoder.name, fingerprint(audio))
        if key not in _embeddings:
            _embeddings[key] = self.encoder.embed(audio)
        return _embeddings[key]

    def _reference(self, clip: Clip) -> np.ndarray | None:
        """Embedding of a reference clip; None where it has none."""
        key = (self.encoder.name, clip)
        if key not in _references:
            try:
                _references[key] = self.embed(clip.read())
            except AudiotokError:
                _references[key] = None
        return _references[key]

    def basis(self, column: str) -> str:
        """An equal error rate is made of the clips that have trials."""
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
    """The cosines of one voice and of two."""
    same, _, other = trials.partition("|")
    return tuple(np.array(part.split(), dtype=np.float64) for part in (same, other))


def equal_error_rate(same: np.ndarray, other: np.ndarray) -> float:
    """Where the share of `same` below a threshold equals the share of `other` at or above it.

    Args:
        same, other: scores (n,) and (m,) of trials of one voice, and of two; higher is nearer.

    Thresholds are the scores themselves; between two of them both shares run along a line.
    """
    thresholds = np.append(np.unique(np.concatenate([same, other])), np.inf)
    misses = np.searchsorted(np.sort(same), thresholds) / len(same)
    alarms = 1 - np.searchsorted(np.sort(other), thresholds) / len(other)
    gap = misses - alarms  # from -1 at the lowest threshold to 1 at infinity
    after = int(np.argmax(gap >= 0))
    part = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(misses[after - 1] + part * (misses[after] - misses[after - 1]))
