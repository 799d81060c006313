"""Encodes a corpus into a folder of shards; a stopped run can be resumed.

The codes depend only on corpus, codec and settings, not on interruptions or on the machines that
encode. A shard is written completely or not at all, by this process only: the existing shards are
the journal of the run.
"""

from __future__ import annotations

import heapq
import json
import math
import os
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from audiotok import __version__
from audiotok.codec import registry
from audiotok.codec.batches import BATCHES, Batch
from audiotok.codec.codec import Codec
from audiotok.corpora import executors, rows, shards, sources
from audiotok.corpora.encoder import FailedShard, Job, ShardResult, Work, caching
from audiotok.corpora.rows import reading
from audiotok.errors import CorpusError
from audiotok.results.identity import differences, of_encoder
from audiotok.system import outputs
from audiotok.system.files import replacing, temporaries
from audiotok.system.processes import can_start_processes

FAILED = "_failed.tsv"
_SHARDS = 32  # number of shards of a small corpus, so that there is work for all processes
_CLIPS = (16, 1000)  # clips of a shard, at least and at most
_BYTES = (2**19, 2**29)  # bytes of the sound files of a shard: some seconds to some hours of sound
_SECONDS = {"cpu": 8.0, "cuda": 120.0}  # of a batch; on a CPU larger batches are slower


class Progress:
    """Callbacks while a corpus is encoded; the methods of this class do nothing."""

    def start(self, clips: int, done: int) -> None:
        """Called first: `done` of `clips` clips were encoded by previous runs."""

    def note(self, text: str) -> None:
        """Called with a message for the user."""

    def tick(self, clips: int, seconds: float) -> None:
        """Called with the number of clips, and their seconds of sound, that were just encoded."""


@dataclass(frozen=True)
class Encoded:
    """Summary of a folder of shards.

    Attributes:
        clips, seconds: encoded.
        failures: {"clip", "message"} of each clip that could not be encoded.
        compared, changed: number of codes that were also computed clip by clip, and of those that
            differed; 0 and 0 if each clip was encoded alone, or if there were few batches.
    """

    folder: Path
    clips: int
    seconds: float
    failures: list[dict[str, str]]
    compared: int
    changed: int


def encode(
    source: str | Path,
    tokenizer: str,
    out: str | Path,
    *,
    checkpoint: str | Path | None = None,
    device: str = "auto",
    batch: Batch | None = None,
    batch_seconds: float | None = None,
    shard_clips: int | None = None,
    limit: int | None = None,
    workers: int | None = None,
    executor: str = "local",
    address: str | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Encodes a corpus into the folder `out`, or resumes an earlier run.

    Args:
        source: a folder, a manifest, a corpus by name, or hf:NAME[:SPLIT].
        tokenizer, checkpoint, device: as for `audiotok.load`.
        batch: as in `Codec.encode_batch`; default: the fastest that the codec supports. All except
            "strict" may change a few codes by rounding: the share is measured and reported.
        batch_seconds: largest number of seconds of sound in one forward; default 8 on a CPU, 120
            on a GPU.
        shard_clips: largest number of clips in one shard. Batches are formed within a shard, and a
            kill loses at most the shards in progress. Default: a 32nd of the corpus, limited to 16
            to 1000. The sound files of a shard also have at most a 32nd of the corpus's bytes,
            limited to 0.5 to 512 MiB.
        limit: only the first clips.
        workers: processes that encode (CPU, default: all cores), or that read files for a GPU. With
            0 everything runs in this process, for debugging: a clip that crashes ends it.
        executor: "local", or "ray", on a cluster at `address`.
        progress: receives the progress.

    Raises:
        CorpusError: `out` holds other tokens or other files, no clip could be encoded, or a shard
            had a transient failure: the other shards are written, and the same call tries it again.
    """
    progress = progress or Progress()
    out = outputs.folder(out, "the tokens of a corpus")
    if executor not in ("local", "ray"):
        raise CorpusError(f"the executor is 'local' or 'ray', not {executor!r}")
    if address is not None and executor != "ray":
        raise CorpusError(f"the address {address} is for --executor ray: give both or none")
    codec = registry.load(tokenizer, checkpoint, device, quiet=True)
    kind = codec.device.type
    corpus = sources.load(source, limit)
    metadata = _metadata(
        codec, corpus, batch=batch, batch_seconds=batch_seconds, shard_clips=shard_clips
    )
    job = Job(
        name=str(tokenizer),
        checkpoint=None if checkpoint is None else str(Path(checkpoint).absolute()),
        device=str(codec.device),
        batch=metadata["settings"]["batch"],
        batch_seconds=metadata["settings"]["batch_seconds"],
        readers=_workers(workers) if kind != "cpu" and can_start_processes() else 0,
        metadata=json.dumps(metadata, sort_keys=True),
    )
    works = list(_split(corpus, metadata["settings"]["shard_clips"]))
    in_process = workers == 0 or not can_start_processes()
    preloaded = caching(job, codec) if kind == "cpu" or in_process else nullcontext()
    del codec  # the process that uses the GPU loads its own
    metadata["shards"] = len(works)
    with _LockedFolder(out, metadata) as folder, preloaded:
        return _run(
            folder,
            job,
            works,
            workers=workers,
            executor=executor,
            address=address,
            progress=progress,
        )


def _run(
    folder: Path,
    job: Job,
    works: list[Work],
    *,
    workers: int | None,
    executor: str,
    address: str | None,
    progress: Progress,
) -> Encoded:
    paths = [folder / shards.file_name(work.number, len(works)) for work in works]
    missing = [work for work, path in zip(works, paths, strict=True) if not path.exists()]
    total = sum(len(work.recordings) for work in works)
    missing = _scheduled(missing, count := _processes(workers, job.device))
    done = total - sum(len(work.recordings) for work in missing)
    start = cache(partial(progress.start, total, done))

    def tick(clips: int, seconds: float) -> None:
        start()  # only after processes are forked: a progress bar has a thread
        progress.tick(clips, seconds)

    run_shards = {
        "here": executors.here,
        "local": partial(executors.local, count=min(count, max(1, len(missing)))),
        "ray": partial(executors.on_ray, address=address),
    }
    in_process = workers == 0 or not can_start_processes()
    if executor == "local" and in_process and workers != 0:
        progress.note("clips are encoded in this process: a daemon process cannot start others")
    if executor == "local" and in_process:
        executor = "here"
    failed = []
    for result in run_shards[executor](job, missing, tick) if missing else ():
        if isinstance(result, FailedShard):
            failed.append(result)
            continue
        with replacing(paths[result.number], CorpusError) as file:
            file.write(result.content)
    start()
    failed.sort(key=lambda shard: shard.number)
    if failed:
        raise CorpusError(
            f"{len(failed)} of {len(works)} shards could not be encoded, at clip "
            f"{failed[0].clip}: {failed[0].message}; the others are kept, and the same command "
            "tries these again"
        )
    return _summary(folder, paths)


def _summary(folder: Path, paths: list[Path]) -> Encoded:
    """The summary of all shards; writes the clips that failed to a file FAILED."""
    results = []
    for path in paths:
        with reading(path):
            results.append(ShardResult(**shards.shard_metadata(path)["shard"]))
    failures = [failure for result in results for failure in result.failures]
    names = ("clips", "seconds", "compared", "changed")
    totals = {name: sum(getattr(result, name) for result in results) for name in names}
    encoded = Encoded(folder, failures=failures, **totals)
    (folder / FAILED).unlink(missing_ok=True)
    if failures:
        lines = [
            "clip\tmessage",
            *(f"{failure['clip']}\t{failure['message']}" for failure in failures),
        ]
        with replacing(folder / FAILED, CorpusError) as file:
            file.write("\n".join([*lines, ""]).encode(errors="backslashreplace"))
    if not encoded.clips:
        raise CorpusError(
            f"none of {len(failures)} clips could be encoded, first {failures[0]['clip']}: "
            f"{failures[0]['message']}"
        )
    return encoded


def _metadata(
    codec: Codec,
    source: sources.Source,
    *,
    batch: Batch | None,
    batch_seconds: float | None,
    shard_clips: int | None,
) -> dict[str, Any]:
    """The metadata of the folder, which every shard contains too."""
    device = codec.device.type
    if batch is None:
        batch = "ragged" if codec.ragged else "strict" if codec.card.byte_stream else "length"
    if batch not in BATCHES or (batch == "ragged" and not codec.ragged):
        codec.encode_prepared([], batch)  # raises the error
    clips = len(source.recordings)
    if shard_clips is None:
        shard_clips = min(max(_CLIPS[0], math.ceil(clips / _SHARDS)), _CLIPS[1])
    seconds = batch_seconds if batch_seconds is not None else _SECONDS.get(device, _SECONDS["cuda"])
    if shard_clips < 1 or seconds <= 0:
        raise CorpusError(
            f"a shard has 1 clip or more and a batch more than 0 seconds, not {shard_clips} and "
            f"{seconds:g}"
        )
    card = codec.card
    fields = {name: getattr(card, name, default) for name, default in rows.ADDED.items()}
    has_fields = fields != rows.ADDED
    return {
        "format": rows.NEW_FORMAT if has_fields else shards.FORMAT,
        **(fields if has_fields else {}),
        "codec": card.name,
        "fingerprint": codec.fingerprint,
        "codebook_sizes": list(card.codebook_sizes),
        "strides": list(card.strides),
        "card": card.model_dump(mode="json"),
        "encoder": of_encoder(codec),
        "version": __version__,
        "corpus": {"name": source.name, "clips": clips, "sha256": source.sha256},
        "settings": {
            "batch": batch,
            "batch_seconds": float(seconds),
            "shard_clips": shard_clips,
            "device": device,
        },
    }


def _split(source: sources.Source, shard_clips: int) -> Iterator[Work]:
    """Splits the corpus into shards, in its order."""
    max_bytes = min(max(_BYTES[0], math.ceil(sum(source.sizes) / _SHARDS)), _BYTES[1])
    start = number = size = 0
    for index, file_size in enumerate(source.sizes):
        if index > start and (index - start == shard_clips or size + file_size > max_bytes):
            yield Work(number, source.recordings[start:index], size=size)
            start, number, size = index, number + 1, 0
        size += file_size
    yield Work(number, source.recordings[start:], size=size)


def _scheduled(works: list[Work], processes: int) -> list[Work]:
    """The shards, largest first. A shard for which the other processes would wait at the end gets
    several threads: one that is larger than a process's share, or the last one, if the others end
    before half of it is done."""
    works = sorted(works, key=lambda work: -work.size)
    share = sum(work.size for work in works) / processes
    threads = [processes if work.size > share else 1 for work in works]
    ends = [0] * processes  # of the shards before the last one; a heap
    for work in works[:-1]:
        heapq.heapreplace(ends, ends[0] + work.size)
    if works and max(ends) - ends[0] <= works[-1].size / 2:
        threads[-1] = processes
    return [replace(work, threads=count) for work, count in zip(works, threads, strict=True)]


def _differences(existing: dict[str, Any], metadata: dict[str, Any]) -> str:
    """The differences between two folders of tokens, in one line."""
    ignored = [key for key in ("card", "fingerprint") if key in existing and "encoder" in existing]
    existing, metadata = (
        {key: value for key, value in content.items() if key not in ignored}
        for content in (existing, metadata)
    )
    text = differences(existing, metadata)
    if "corpus.sha256" in text:
        text += ", a hash of names, texts, sizes and modification times of all files"
    return text


class _LockedFolder:
    """Locks the folder for tokens with these metadata; removes temporary files of killed runs."""

    def __init__(self, folder: Path, metadata: dict[str, Any]):
        self._folder, self._metadata = folder, metadata
        self._lock = FileLock(folder / ".lock")

    def __enter__(self) -> Path:
        folder = self._folder
        if shards.is_shards(folder):  # before anything is written there
            shards.read_metadata(folder)
        else:
            self._refuse_foreign_files()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise CorpusError(
                f"another process encodes into {folder}: wait until it ends"
            ) from None
        except OSError as reason:
            raise CorpusError(
                f"cannot write into {folder}: {reason.strerror or reason}; name a folder"
            ) from reason
        try:
            self._check()
        except BaseException:
            self._lock.release()
            raise
        return folder

    def _refuse_foreign_files(self) -> None:
        """Raises CorpusError if the folder contains other files than tokens."""
        expected = {self._folder / ".lock", *temporaries(self._folder)}
        if self._folder.is_dir() and (other_files := set(self._folder.iterdir()) - expected):
            raise CorpusError(
                f"{self._folder} contains other files and no corpus of tokens, e.g. "
                f"{min(other_files).name}: name a new folder"
            )

    def _check(self) -> None:
        folder = self._folder
        if shards.is_shards(folder):
            existing = shards.read_metadata(folder)
            if existing != json.loads(json.dumps(self._metadata)):
                raise CorpusError(
                    f"{folder} holds other tokens ({_differences(existing, self._metadata)}): "
                    "name another folder, or remove this one"
                )
        else:
            self._refuse_foreign_files()
            with replacing(folder / shards.METADATA_FILE, CorpusError) as file:
                file.write(shards.metadata_bytes(self._metadata))
        for temporary in temporaries(folder):
            temporary.unlink(missing_ok=True)

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _processes(workers: int | None, device: str) -> int:
    """The number of processes that encode; one for a GPU."""
    return max(1, _workers(workers)) if device == "cpu" else 1


def _workers(workers: int | None) -> int:
    if workers is not None and workers < 0:
        raise CorpusError(f"workers are 0 or more, not {workers}")
    if workers is not None:
        return workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
