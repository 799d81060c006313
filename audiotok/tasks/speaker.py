"""speaker: whether it is still the same voice, by Resemblyzer's embeddings (GE2E, Wan et al. 2018).

Both sounds go, mono at 16 kHz, through Resemblyzer's own `preprocess_wav` (quiet sounds are raised
to -30 dBFS, long pauses cut out by WebRTC's voice activity detector) and `embed_utterance`. Cosines
of different voices lie near 0.5, so the floor is not 0: identification stands beside similarity.
Clips of a corpus with texts or speakers that have neither (music, sounds) are left out.
"""

from __future__ import annotations

import importlib.util
import warnings
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from audiotok.asr import fingerprint, mono
from audiotok.errors import AudiotokError, MetricError, MissingPackageError
from audiotok.tasks import Column, Item, Task

if TYPE_CHECKING:
    from audiotok.audio import Audio
    from audiotok.data import Clip, Corpus

ENROLLED = 4
"""Clips that stand for a speaker in identification; the clip in question is not among them."""

_embeddings: dict[str, np.ndarray] = {}  # per process: fingerprint of a sound -> embedding


class Speaker(Task):
    """Cosine similarity, and identification where two speakers have other clips."""

    name = "speaker"
    version = 1
    columns = (
        Column("speaker_similarity", "", True, 3, "cosine of Resemblyzer embeddings"),
        Column(
            "speaker_identified",
            "",
            True,
            2,
            "share nearest to other reference clips of the same speaker, of all speakers",
        ),
    )

    def __init__(self):
        self.silent: frozenset[str] = frozenset()  # ids of clips where no speech is expected
        self.enrolment: dict[str, tuple[Clip, ...]] = {}  # by speaker

    def available(self) -> str | None:
        if importlib.util.find_spec("resemblyzer") is None:
            return str(MissingPackageError("resemblyzer", "bench", "speaker similarity"))
        return None

    def prepare(self, corpus: Corpus) -> None:
        self.silent = frozenset(clip.id for clip in corpus if not corpus.is_speech(clip))
        clips: dict[str, list[Clip]] = {}
        for clip in corpus:
            if clip.speaker and len(same := clips.setdefault(clip.speaker, [])) <= ENROLLED:
                same.append(clip)
        self.enrolment = {speaker: tuple(same) for speaker, same in clips.items() if len(same) > 1}

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        if item.clip.id in self.silent:
            return {}
        reference, reconstruction = embed(item.reference), embed(item.reconstruction)
        row = {"speaker_similarity": float(reference @ reconstruction)}
        if item.clip.speaker in self.enrolment and len(self.enrolment) > 1:
            row["speaker_identified"] = float(self._identify(item, reconstruction))
        return row

    def _identify(self, item: Item, embedding: np.ndarray) -> bool:
        """Whether no other speaker's mean embedding is as near as the clip's own."""
        nearness = {}
        for speaker, clips in self.enrolment.items():
            others = [clip for clip in clips if clip.id != item.clip.id][:ENROLLED]
            known = [e for e in map(_enrolled, others) if e is not None]
            if known:
                mean = np.mean(known, axis=0)
                nearness[speaker] = float(embedding @ mean / np.linalg.norm(mean))
        own = nearness.pop(item.clip.speaker, -1.0)
        return own > max(nearness.values(), default=-1.0)


def embed(audio: Audio) -> np.ndarray:
    """Unit vector (256,) float32; MetricError where the detector finds no voice at all."""
    key = fingerprint(audio)
    if key not in _embeddings:
        _embeddings[key] = _embed(audio)
    return _embeddings[key]


def _embed(audio: Audio) -> np.ndarray:
    encoder, preprocess_wav = _encoder()
    samples = mono(audio).waveform[0].clamp(-1, 1).numpy()
    if not samples.any():
        raise MetricError("no speaker in digital silence")
    voiced = preprocess_wav(samples, source_sr=16_000)
    if not len(voiced):
        raise MetricError(f"no voice was detected in {audio.duration:.2f} s of sound")
    return encoder.embed_utterance(voiced).astype(np.float32)


@cache
def _encoder():
    """Resemblyzer's encoder on the CPU with the weights of its package, and its preprocessing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports pkg_resources and an old name of scipy's
        from resemblyzer import VoiceEncoder, preprocess_wav
    return VoiceEncoder("cpu", verbose=False), preprocess_wav


@cache
def _enrolled(clip: Clip) -> np.ndarray | None:
    """Embedding of a reference clip; None where it has none."""
    try:
        return embed(clip.read())
    except AudiotokError:
        return None
