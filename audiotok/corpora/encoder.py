"""One process that encodes: it reads the clips of a shard, puts them into batches by length, and
gives the bytes of the shard.

What goes into one batch depends on the shard alone, not on who encodes it or when: so a shard that
is made again, on another machine or after a kill, is the same.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch

from audiotok.codec import registry
from audiotok.codec.batches import Batch, Prepared, prepare
from audiotok.codec.card import CodecCard
from audiotok.corpora import shards
from audiotok.corpora.processes import spawning
from audiotok.corpora.sources import Recording
from audiotok.errors import CodecError
from audiotok.system.failures import describe
from audiotok.tokens.tokens import Tokens

COMPARED = 16  # of so many batches, one clip of one is encoded alone too, and its codes compared

Tick = Callable[[int, float], None]  # clips, seconds of sound: more that are done


@dataclass(frozen=True)
class Job:
    """How to encode; the same for all shards.

    Attributes:
        name, checkpoint, device: as for `audiotok.load`.
        fingerprint: that the codec must have.
        batch, batch_seconds: see `encoding.encode`.
        readers: processes that read for this one; 0 reads in this process.
        about: JSON of the metadata of every shard.
    """

    name: str
    checkpoint: str | None
    device: str
    fingerprint: str
    batch: Batch
    batch_seconds: float
    readers: int
    about: str


@dataclass(frozen=True)
class Work:
    """A shard to be made."""

    number: int
    recordings: Sequence[Recording]


@dataclass
class Made:
    """A shard that was made.

    Attributes:
        content: bytes of the file.
        failures: {"clip", "message"} of each clip that is not in it.
        compared, changed: codes that were computed alone too, and how many of them were others.
    """

    number: int
    content: bytes = b""
    clips: int = 0
    seconds: float = 0.0
    failures: list[dict[str, str]] = field(default_factory=list)
    compared: int = 0
    changed: int = 0

    @property
    def summary(self) -> dict[str, Any]:
        """What of this stands in the metadata of the file."""
        names = ("number", "clips", "seconds", "failures", "compared", "changed")
        return {name: getattr(self, name) for name in names}


class Encoder:
    """A codec that makes shards."""

    def __init__(self, job: Job):
        self._job = job
        self._codec = registry.load(job.name, job.checkpoint, job.device, quiet=True)
        if self._codec.fingerprint != job.fingerprint:
            raise CodecError(
                f"{job.name} has other codebooks here (fingerprint {self._codec.fingerprint[:12]}) "
                f"than where the run was started ({job.fingerprint[:12]}): use the same weights"
            )

        self._readers = contextlib.ExitStack()
        self._every: Callable = map
        if job.readers:
            self._every = self._readers.enter_context(spawning(job.readers)).map

    def close(self) -> None:
        """Ends the processes that read."""
        self._readers.close()

    def make(self, work: Work, tick: Tick) -> Made:
        """The shard of `work`; clips that cannot be read or encoded are left out and named."""
        made, found = Made(work.number), {}
        for number, (batch, clips) in enumerate(self._read_ahead(work.recordings)):
            good = []
            for recording, clip in zip(batch, clips, strict=True):
                if isinstance(clip, str):
                    made.failures.append({"clip": recording.id, "message": clip})
                else:
                    good.append((recording, clip))
            done = self._encode(good, made)
            if number % COMPARED == 0 and len(done) > 1 and self._job.batch != "strict":
                recording, clip = good[0]
                self._compare(clip, done.get(recording.id), made)
            found |= done
            seconds = sum(tokens.duration for tokens in done.values())
            made.seconds += seconds
            tick(len(batch), seconds)
        rows = [(one, found[one.id]) for one in work.recordings if one.id in found]
        made.clips = len(rows)
        order = {one.id: number for number, one in enumerate(work.recordings)}
        made.failures.sort(key=lambda failure: order[failure["clip"]])
        made.content = shards.write(rows, json.loads(self._job.about) | {"shard": made.summary})
        return made

    def _encode(self, clips: Sequence[tuple[Recording, Prepared]], made: Made) -> dict[str, Tokens]:
        """Tokens by id; where a batch fails, its clips go one by one."""
        try:
            tokens = self._codec.encode_prepared([clip for _, clip in clips], self._job.batch)
            return {one.id: found for (one, _), found in zip(clips, tokens, strict=True)}
        except Exception as reason:  # the guard around one clip: a network may raise anything
            if len(clips) == 1:
                made.failures.append({"clip": clips[0][0].id, "message": describe(reason)})
                return {}
        return {key: one for clip in clips for key, one in self._encode([clip], made).items()}

    def _compare(self, clip: Prepared, together: Tokens | None, made: Made) -> None:
        if together is not None:
            alone = self._codec.encode_prepared([clip])[0]
            made.compared += alone.codes.numel()
            made.changed += int((alone.codes != together.codes).sum())

    def _read_ahead(
        self, recordings: Sequence[Recording]
    ) -> Iterator[tuple[list[Recording], list[Prepared | str]]]:
        """Each batch with its clips, the next being read meanwhile; text says what is wrong."""
        if self._job.batch == "strict":
            lengths = [0.0] * len(recordings)
        else:
            lengths = list(self._every(Recording.seconds, recordings))
        batches = in_batches(recordings, lengths, self._job.batch_seconds)
        read = partial(_read, card=self._codec.card)
        with ThreadPoolExecutor(1) as ahead:
            coming = None
            for batch in [*batches, None]:
                before = coming
                if batch is not None:
                    coming = batch, ahead.submit(lambda batch=batch: list(self._every(read, batch)))
                if before is not None:
                    yield before[0], [_prepared(clip) for clip in before[1].result()]


def in_batches(
    recordings: Sequence[Recording], seconds: Sequence[float], budget: float
) -> list[list[Recording]]:
    """Recordings in batches of like length, each of `budget` seconds at most with its padding;
    longer ones, and such of unknown length (0), alone."""
    order = sorted(range(len(recordings)), key=lambda number: seconds[number])
    batches: list[list[Recording]] = []
    before = 0.0
    for number in order:
        length = seconds[number]
        if not before or (len(batches[-1]) + 1) * length > budget:
            batches.append([])
        before = length
        batches[-1].append(recordings[number])
    return batches


def _read(recording: Recording, card: CodecCard) -> tuple[np.ndarray, int, int] | str:
    """The parts of a Prepared, or what is wrong with the clip."""
    try:
        clip = prepare(recording.read(), card)
    except Exception as reason:  # the guard around one clip: a file may break any library
        return describe(reason)
    return clip.waveform.numpy(), clip.num_samples, clip.sample_rate


def _prepared(parts: tuple[np.ndarray, int, int] | str) -> Prepared | str:
    return parts if isinstance(parts, str) else Prepared(torch.from_numpy(parts[0]), *parts[1:])


@lru_cache(maxsize=1)
def kept(job: Job) -> Encoder:
    """The encoder of this process: loaded once, however many shards it makes."""
    return Encoder(job)
