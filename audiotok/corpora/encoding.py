"""A corpus encoded into a folder of shards; a run that was stopped goes on.

What is made depends on corpus, codec and settings alone, so a folder holds the same codes however
often the run was stopped, and whoever made them. A shard is written whole or not at all, by this
process alone: that is all the journal there is.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from audiotok import __version__
from audiotok.codec import registry
from audiotok.codec.batches import BATCHES, Batch
from audiotok.codec.codec import Codec
from audiotok.corpora import executors, shards, sources
from audiotok.corpora.encoder import Job, Made, Unmade, Work
from audiotok.corpora.rows import reading
from audiotok.errors import CorpusError
from audiotok.results.identity import differences, of_encoder
from audiotok.system import outputs
from audiotok.system.files import replacing, temporaries
from audiotok.system.processes import can_start_processes

FAILED = "_failed.tsv"
_SHARDS = 32  # that a small corpus is put into, so that there is work for all processes
_CLIPS = (64, 1000)  # of a shard, at least and at most
_BYTES = (2**24, 2**29)  # of the files of a shard, likewise: ten minutes to some hours of sound
_SECONDS = {"cpu": 8.0, "cuda": 120.0}  # of a batch; on a CPU more is slower


class Progress:
    """What is told while a corpus is encoded; does nothing by itself."""

    def start(self, clips: int, done: int) -> None:
        """Of `clips` clips, `done` were encoded by runs before."""

    def note(self, text: str) -> None:
        """A line worth reading."""

    def tick(self, clips: int, seconds: float) -> None:
        """So many more clips, and seconds of sound, are done."""


@dataclass(frozen=True)
class Encoded:
    """What is in a folder of shards.

    Attributes:
        clips, seconds: encoded.
        failures: {"clip", "message"} of each clip that could not be.
        compared, changed: codes of batches that were also computed clip by clip, and how many of
            these were others; 0 and 0 where each clip was encoded alone.
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
    device: str = "cpu",
    batch: Batch | None = None,
    batch_seconds: float | None = None,
    shard_clips: int | None = None,
    limit: int | None = None,
    workers: int | None = None,
    executor: str = "local",
    address: str | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Encodes a corpus into the folder `out`, and goes on where an earlier run was stopped.

    Args:
        source: a folder, a manifest, a corpus by name, or hf:NAME[:SPLIT].
        tokenizer, checkpoint, device: as for `audiotok.load`.
        batch: as in `Codec.encode_batch`; by default the fastest that the codec can. All but
            "strict" may change a few codes by last bits: the share is measured and reported.
        batch_seconds: of sound in one forward, at most; default 8 on a CPU, 120 on a GPU.
        shard_clips: of one shard, at most; also the clips among which batches are formed, and the
            work that a kill can cost. Default: a 32nd of the corpus, 64 to 1000. The files of a
            shard have no more than a 32nd of the corpus's bytes either, 16 MiB to 512 MiB.
        limit: only the first clips.
        workers: processes that encode (CPU, default: all cores), or that read for a GPU. With 0
            all is done in this process: for a debugger, for a clip that crashes ends it.
        executor: "local", or "ray", on a cluster at `address`.
        progress: is told how it goes.

    Raises:
        CorpusError: `out` holds other tokens or other files, no clip could be encoded, or a shard
            could not be made for what may pass: all others are made, and the same call tries it
            again.
    """
    progress = progress or Progress()
    out = outputs.folder(out, "the tokens of a corpus")
    if executor not in ("local", "ray"):
        raise CorpusError(f"the executor is 'local' or 'ray', not {executor!r}")
    if address is not None and executor != "ray":
        raise CorpusError(f"the address {address} is for --executor ray: give both or none")
    codec = registry.load(tokenizer, checkpoint, device, quiet=True)
    kind = codec.device.type
    found = sources.load(source, limit)
    about = _about(codec, found, kind, batch, batch_seconds, shard_clips)
    job = Job(
        name=str(tokenizer),
        checkpoint=None if checkpoint is None else str(Path(checkpoint).absolute()),
        device=str(codec.device),
        batch=about["settings"]["batch"],
        batch_seconds=about["settings"]["batch_seconds"],
        readers=_workers(workers) if kind != "cpu" and can_start_processes() else 0,
        about=json.dumps(about, sort_keys=True),
    )
    del codec  # the processes have their own
    works = list(_works(found, about["settings"]["shard_clips"]))
    about["shards"] = len(works)
    with _opened(out, about) as folder:
        return _run(folder, about, job, works, workers, executor, address, progress)


def _run(
    folder: Path,
    about: dict[str, Any],
    job: Job,
    works: list[Work],
    workers: int | None,
    executor: str,
    address: str | None,
    progress: Progress,
) -> Encoded:
    paths = [folder / shards.file_name(work.number, len(works)) for work in works]
    missing = [work for work, path in zip(works, paths, strict=True) if not path.exists()]
    total = sum(len(work.recordings) for work in works)
    progress.start(total, total - sum(len(work.recordings) for work in missing))
    count = min(_workers(workers), len(missing)) if job.device == "cpu" else 1
    run = {
        "here": executors.here,
        "local": partial(executors.local, count=max(1, count)),
        "ray": partial(executors.on_ray, address=address),
    }
    alone = workers == 0 or not can_start_processes()
    if executor == "local" and alone and workers != 0:
        progress.note("clips are encoded in this process: as a daemon it cannot start others")
    if executor == "local" and alone:
        executor = "here"
    unmade = []
    for made in run[executor](job, missing, progress.tick) if missing else ():
        if isinstance(made, Unmade):
            unmade.append(made)
            continue
        with replacing(paths[made.number], CorpusError) as file:
            file.write(made.content)
    if unmade:
        raise CorpusError(
            f"{len(unmade)} of {len(works)} shards could not be made now, at clip "
            f"{unmade[0].clip}: {unmade[0].message}; the others are kept, and the same command "
            "tries these again"
        )
    return _finished(folder, paths)


def _finished(folder: Path, paths: list[Path]) -> Encoded:
    """What all shards say together; names the clips that failed in a file of their own."""
    made = []
    for path in paths:
        with reading(path):
            made.append(Made(**shards.about_file(path)["shard"]))
    failures = [failure for one in made for failure in one.failures]
    names = ("clips", "seconds", "compared", "changed")
    totals = {name: sum(getattr(one, name) for one in made) for name in names}
    encoded = Encoded(folder, failures=failures, **totals)
    (folder / FAILED).unlink(missing_ok=True)
    if failures:
        lines = ["clip\tmessage", *(f"{f['clip']}\t{f['message']}" for f in failures)]
        with replacing(folder / FAILED, CorpusError) as file:
            file.write("\n".join([*lines, ""]).encode(errors="backslashreplace"))
    if not encoded.clips:
        raise CorpusError(
            f"none of {len(failures)} clips could be encoded, first {failures[0]['clip']}: "
            f"{failures[0]['message']}"
        )
    return encoded


def _about(
    codec: Codec,
    source: sources.Source,
    kind: str,
    batch: Batch | None,
    batch_seconds: float | None,
    shard_clips: int | None,
) -> dict[str, Any]:
    """What the folder holds, which every shard says too."""
    if batch is None:
        batch = "ragged" if codec.ragged else "strict" if codec.card.byte_stream else "length"
    if batch not in BATCHES or (batch == "ragged" and not codec.ragged):
        codec.encode_prepared([], batch)  # says what is wrong
    clips = len(source.recordings)
    if shard_clips is None:
        shard_clips = min(max(_CLIPS[0], math.ceil(clips / _SHARDS)), _CLIPS[1])
    seconds = batch_seconds if batch_seconds is not None else _SECONDS.get(kind, _SECONDS["cuda"])
    if shard_clips < 1 or seconds <= 0:
        raise CorpusError(
            f"a shard has 1 clip or more and a batch more than 0 seconds, not {shard_clips} and "
            f"{seconds:g}"
        )
    card = codec.card
    return {
        "format": shards.FORMAT,
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
            "device": kind,
        },
    }


def _works(source: sources.Source, shard_clips: int) -> Iterator[Work]:
    """The corpus in shards, in its order."""
    most = min(max(_BYTES[0], math.ceil(sum(source.sizes) / _SHARDS)), _BYTES[1])
    start = number = size = 0
    for index, more in enumerate(source.sizes):
        if index > start and (index - start == shard_clips or size + more > most):
            yield Work(number, source.recordings[start:index])
            start, number, size = index, number + 1, 0
        size += more
    yield Work(number, source.recordings[start:])


def _differences(found: dict[str, Any], about: dict[str, Any]) -> str:
    """What tells two folders of tokens apart, in one line."""
    same = [key for key in ("card", "fingerprint") if key in found and "encoder" in found]
    found, about = ({k: v for k, v in one.items() if k not in same} for one in (found, about))
    text = differences(found, about)
    if "corpus.sha256" in text:
        text += ", where names, texts, sizes and times of change of all files are compared"
    return text


class _opened:
    """The folder, locked, for the tokens of `about` alone; parts of files that a kill left go."""

    def __init__(self, folder: Path, about: dict[str, Any]):
        self._folder, self._about = folder, about
        self._lock = FileLock(folder / ".lock")

    def __enter__(self) -> Path:
        folder = self._folder
        if shards.is_shards(folder):  # before anything is written there
            shards.read_about(folder)
        else:
            self._refuse_others()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise CorpusError(f"another process encodes into {folder}: wait for it") from None
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

    def _refuse_others(self) -> None:
        """Raises CorpusError where the folder holds files that are not ours."""
        ours = {self._folder / ".lock", *temporaries(self._folder)}
        if self._folder.is_dir() and (others := set(self._folder.iterdir()) - ours):
            raise CorpusError(
                f"{self._folder} holds no corpus of tokens but other files, e.g. "
                f"{min(others).name}: name a new folder"
            )

    def _check(self) -> None:
        folder = self._folder
        if shards.is_shards(folder):
            found = shards.read_about(folder)
            if found != json.loads(json.dumps(self._about)):
                raise CorpusError(
                    f"{folder} holds other tokens ({_differences(found, self._about)}): "
                    "name another folder, or remove this one"
                )
        else:
            self._refuse_others()
            with replacing(folder / shards.ABOUT, CorpusError) as file:
                file.write(shards.about_bytes(self._about))
        for part in temporaries(folder):
            part.unlink(missing_ok=True)

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _workers(workers: int | None) -> int:
    if workers is not None and workers < 0:
        raise CorpusError(f"workers are 0 or more, not {workers}")
    if workers is not None:
        return workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
