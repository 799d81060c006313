"""The encoder of one process: reads the clips of a shard, sorts them into batches by length, and
returns the bytes of the shard.

Batches depend only on the clips of the shard, so a shard that is encoded again, on another machine
or after a kill, has equal bytes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from audiotok.codec import registry
from audiotok.codec.batches import Batch, Prepared, prepare
from audiotok.codec.card import CodecCard
from audiotok.codec.codec import Codec
from audiotok.corpora import shards
from audiotok.corpora.processes import starting
from audiotok.corpora.sources import Recording
from audiotok.errors import CodecError
from audiotok.results.identity import differences, of_encoder
from audiotok.system.failures import Failure
from audiotok.tokens.tokens import Tokens

COMPARE_EVERY = 16  # batches; one clip of every 16th is also encoded alone, to compare codes

Tick = Callable[[int, float], None]  # called with the clips and seconds of sound just encoded


@dataclass(frozen=True)
class Job:
    """How to encode; the same for all shards.

    Attributes:
        name, checkpoint, device: as for `audiotok.load`.
        batch, batch_seconds: see `encoding.encode`.
        readers: number of processes that read files; with 0 this process reads them.
        metadata: JSON of the metadata of every shard; its `encoder` is the identity that the codec
            must have in every process.
    """

    name: str
    checkpoint: str | None
    device: str
    batch: Batch
    batch_seconds: float
    readers: int
    metadata: str


@dataclass(frozen=True)
class Work:
    """A shard to encode.

    Attributes:
        left_out: id and reason of clips that are skipped because they crash the process.
        threads: of the process; several for a shard that the other processes would wait for.
        size: bytes of the sound files, 0 if unknown.
    """

    number: int
    recordings: Sequence[Recording]
    left_out: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    size: int = 0


@dataclass
class ShardResult:
    """An encoded shard.

    Attributes:
        content: bytes of the file.
        failures: {"clip", "message"} of each clip that is not in it.
        compared, changed: number of codes that were also computed clip by clip, and how many of
            them differed.
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
        """The fields that are stored in the metadata of the file."""
        names = ("number", "clips", "seconds", "failures", "compared", "changed")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class FailedShard:
    """A shard that could not be encoded because of a transient failure: memory, a full disk."""

    number: int
    clip: str
    message: str


class _TransientError(Exception):
    """The clip `args[0]` failed with the transient Failure `args[1]`."""


class Encoder:
    """A codec that encodes shards.

    Args:
        codec: of the job, if it is loaded already.
    """

    def __init__(self, job: Job, codec: Codec | None = None):
        self._job = job
        self._codec = codec or registry.load(job.name, job.checkpoint, job.device, quiet=True)
        expected = json.loads(job.metadata)["encoder"]
        actual = expected if codec else of_encoder(self._codec)
        if actual != expected:
            raise CodecError(
                f"{job.name} differs between this process and the one that started the run "
                f"({differences(expected, actual)}): use the same weights, code and packages"
            )

        self._readers = contextlib.ExitStack()
        self._map: Callable = map
        if job.readers:
            self._map = self._readers.enter_context(starting(job.readers)).map

    def close(self) -> None:
        """Ends the processes that read."""
        self._readers.close()

    def make(self, work: Work, tick: Tick) -> ShardResult | FailedShard:
        """Encodes the shard `work`; clips that cannot be read or encoded are listed in it."""
        try:
            return self._make(work, tick)
        except _TransientError as reason:
            clip, failure = reason.args
            return FailedShard(work.number, clip, failure.message)

    def _make(self, work: Work, tick: Tick) -> ShardResult:
        result, encoded = ShardResult(work.number), {}
        self._codec.threads = work.threads
        skipped = work.left_out
        result.failures += [{"clip": name, "message": text} for name, text in skipped.items()]
        recordings = [r for r in work.recordings if r.id not in skipped]
        for number, (batch, clips) in enumerate(self._read_ahead(recordings)):
            readable = []
            for recording, clip in zip(batch, clips, strict=True):
                if isinstance(clip, Failure):
                    _fail(result, recording, clip)
                else:
                    readable.append((recording, clip))
            batch_tokens = self._encode(readable, result)
            has_several = len(batch_tokens) > 1 and self._job.batch != "strict"
            if has_several and (work.number + number + 1) % COMPARE_EVERY == 0:
                recording, clip = readable[0]
                self._compare(clip, batch_tokens.get(recording.id), result)
            encoded |= batch_tokens
            seconds = sum(tokens.duration for tokens in batch_tokens.values())
            result.seconds += seconds
            tick(len(batch), seconds)
        rows = [(r, encoded[r.id]) for r in work.recordings if r.id in encoded]
        result.clips = len(rows)
        order = {r.id: number for number, r in enumerate(work.recordings)}
        result.failures.sort(key=lambda failure: order[failure["clip"]])
        result.content = shards.write(
            rows, json.loads(self._job.metadata) | {"shard": result.summary}
        )
        return result

    def _encode(
        self, clips: Sequence[tuple[Recording, Prepared]], result: ShardResult
    ) -> dict[str, Tokens]:
        """Tokens by id; if a batch fails, its clips are encoded one by one."""
        try:
            tokens = self._codec.encode_prepared([clip for _, clip in clips], self._job.batch)
            return {recording.id: t for (recording, _), t in zip(clips, tokens, strict=True)}
        except Exception as reason:  # the guard around one clip: a network may raise anything
            if len(clips) == 1:
                _fail(result, clips[0][0], Failure.of(reason))
                return {}
        return {key: t for clip in clips for key, t in self._encode([clip], result).items()}

    def _compare(self, clip: Prepared, batched: Tokens | None, result: ShardResult) -> None:
        if batched is not None:
            try:
                single = self._codec.encode_prepared([clip])[0]
            except Exception:  # as for one clip; its tokens of the batch are kept
                return
            result.compared += single.codes.numel()
            result.changed += int((single.codes != batched.codes).sum())

    def _read_ahead(
        self, recordings: Sequence[Recording]
    ) -> Iterator[tuple[list[Recording], list[Prepared | Failure]]]:
        """Yields each batch with its clips or their failures, and reads the next one meanwhile."""
        if self._job.batch == "strict":
            lengths = [0.0] * len(recordings)
        else:
            lengths = list(self._map(Recording.seconds, recordings))
        batches = batches_of(recordings, lengths, self._job.batch_seconds)
        read = partial(_read, card=self._codec.card)
        with ThreadPoolExecutor(1) as thread:
            next_batch = None
            for batch in [*batches, None]:
                current = next_batch
                if batch is not None:
                    next_batch = (
                        batch,
                        thread.submit(lambda batch=batch: list(self._map(read, batch))),
                    )
                if current is not None:
                    yield current[0], [_prepared(clip) for clip in current[1].result()]


def batches_of(
    recordings: Sequence[Recording], seconds: Sequence[float], budget: float
) -> list[list[Recording]]:
    """Batches of recordings of similar length, of at most `budget` seconds including padding.
    Longer recordings, and those of unknown length (0), are in a batch of their own."""
    order = sorted(range(len(recordings)), key=lambda number: seconds[number])
    batches: list[list[Recording]] = []
    previous = 0.0
    for number in order:
        length = seconds[number]
        if not previous or (len(batches[-1]) + 1) * length > budget:
            batches.append([])
        previous = length
        batches[-1].append(recordings[number])
    return batches


def _fail(result: ShardResult, recording: Recording, failure: Failure) -> None:
    """Adds a failed clip to the result; a transient failure is raised instead."""
    if failure.transient:
        raise _TransientError(recording.id, failure)
    result.failures.append({"clip": recording.id, "message": failure.message})


def _read(recording: Recording, card: CodecCard) -> tuple[np.ndarray, int, int] | Failure:
    """The fields of a Prepared, or the failure."""
    try:
        clip = prepare(recording.read(), card)
    except Exception as reason:  # the guard around one clip: a file may break any library
        failure = Failure.of(reason)
        if isinstance(reason.__cause__, FileNotFoundError):  # a missing file is permanent
            failure = replace(failure, transient=False)
        return failure
    return clip.waveform.numpy(), clip.num_samples, clip.sample_rate


def _prepared(parts: tuple[np.ndarray, int, int] | Failure) -> Prepared | Failure:
    return parts if isinstance(parts, Failure) else Prepared(torch.from_numpy(parts[0]), *parts[1:])


_cached: dict[Job, Encoder] = {}  # at most one


def cached_encoder(job: Job) -> Encoder:
    """The encoder of this process, loaded once for all shards."""
    if job not in _cached:
        _cached.clear()
        _cached[job] = Encoder(job)
    return _cached[job]


@contextlib.contextmanager
def caching(job: Job, codec: Codec) -> Iterator[None]:
    """In the block, `cached_encoder` uses this codec, also in forked processes."""
    _cached[job] = Encoder(job, codec)
    try:
        yield
    finally:
        _cached.pop(job).close()
