"""The plan of a bench: suite, clips, tasks, codec, and everything else that scores depend on.

Results of different plans are never mixed: different data, limits or tasks use different folders; a
codec with changed weights or a metric with a new version is measured again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import audiotok
from audiotok import data, tasks
from audiotok.codec.codec import Codec
from audiotok.data import Corpus
from audiotok.errors import AudiotokError
from audiotok.harness import given as reconstructions
from audiotok.harness import summary
from audiotok.harness.given import Given
from audiotok.harness.settings import BenchSettings
from audiotok.harness.suite import Suite
from audiotok.results import identity, results
from audiotok.results.results import FLOOR, REFERENCE
from audiotok.system.processes import can_start_processes
from audiotok.tasks import Task

MAX_WORKERS = 8  # by default: each process has its own copy of torch and of the models of the tasks


class Observer:
    """Receives reports of a run; the command line shows them."""

    def note(self, text: str) -> None:
        """One line about what is done or reused."""

    def progress(self, codec: str, done: int, total: int) -> None:
        """`done` of `total` clips of this codec are scored."""

    def row(self, result: results.Result) -> None:
        """A row of the table is complete: first the codecs that the user named, then all others."""


@dataclass(kw_only=True)
class Setting:
    """What all codecs of one call share: its settings, and the suite, corpus and tasks loaded."""

    settings: BenchSettings
    suite: Suite
    corpus: Corpus  # what codecs are measured on, and tasks are prepared with
    sha256: str  # of all that was loaded
    limit: int | None  # clips; None: the whole corpus
    tasks: list[Task]
    not_measured: dict[str, str]  # task or column -> reason
    folder: Path
    workers: int
    observer: Observer
    given: Given | None = None  # reconstructions, in a suite of these
    keys: dict[str, dict[str, str]] = field(default_factory=dict)  # of tasks: `coding.task_keys`

    @property
    def data(self) -> dict[str, Any]:
        return {
            "name": self.corpus.name,
            "sha256": self.sha256,
            "clips": len(self.corpus.clips),
            "limit": self.limit,
        }


def make_setting(settings: BenchSettings, suite: Suite, observer: Observer) -> Setting:
    """Load the corpus, and prepare the tasks that can run here."""
    chosen = suite.tasks if settings.tasks is None else settings.tasks
    if not chosen:
        raise AudiotokError(f"no task is named: the suite has {', '.join(suite.tasks)}")
    not_measured: dict[str, str] = {}
    runnable = []
    for task in map(tasks.get, chosen):
        if (reason := task.available()) is not None:
            not_measured[task.name] = reason
        else:
            not_measured |= task.left_out()
            runnable.append(task)
    limit = settings.limit
    corpus = data.load(suite.source(settings.data), limit=None if suite.given else limit)
    sha256 = corpus.sha256
    given = reconstructions.of(corpus, limit) if suite.given else None
    if given:
        corpus = replace(corpus, clips=given.clips)
    if limit is not None and limit > len(corpus.clips):
        limit = None  # the whole corpus
    unsuited = {task.name: task.unsuited(corpus) for task in runnable}
    not_measured |= {name: reason for name, reason in unsuited.items() if reason is not None}
    runnable = [task for task in runnable if unsuited[task.name] is None]
    if not runnable:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in not_measured.items())
        raise AudiotokError(f"nothing can be measured on {corpus.name}: {reasons}")
    for task in runnable:
        task.prepare(corpus)
    if without_speech := sum(not corpus.is_speech(clip) for clip in corpus):
        observer.note(
            f"{without_speech} of {len(corpus.clips)} clips of {corpus.name} count as sound "
            "without speech, and columns of speech leave them out: their domain says so, or they "
            "have neither a text nor a speaker, unlike the others"
        )
    workers = settings.workers
    if workers is None:
        workers = min(available_cores(), MAX_WORKERS)
    workers = min(workers, len(corpus.clips))
    if workers and not can_start_processes():
        workers = 0
        observer.note("clips are scored in this process: as a daemon it cannot start others")
    setting = Setting(
        settings=settings,
        suite=suite,
        corpus=corpus,
        sha256=sha256,
        given=given,
        limit=limit,
        tasks=runnable,
        not_measured=not_measured,
        folder=settings.out,
        workers=workers,
        observer=observer,
    )
    named_tasks = () if set(chosen) == set(suite.tasks) else sorted(chosen)
    setting.folder = results.setting_folder(
        settings.out, suite.name, suite.version, setting.data, named_tasks
    )
    return setting


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass
class Subject:
    """One row of the table: a codec, or, without one, the reference or given reconstructions."""

    setting: Setting
    codec: Codec | None
    own_weights: bool = False  # the user gave a checkpoint instead of the card's weights
    given: str | None = None  # the codec of given reconstructions of the corpus

    @property
    def name(self) -> str:
        """The full name of the codec, followed by @ and a hash for the user's own weights, and by
        @random for random ones."""
        if self.codec is None:
            return self.given or REFERENCE
        if self.codec.random_weights:
            return f"{self.codec.card.name}@random"
        own = f"@{self.weights['network_sha256'][:8]}" if self.own_weights else ""
        return self.codec.card.name + own

    @cached_property
    def corpus(self) -> Corpus:
        """Its clips; for given reconstructions, those of this codec."""
        setting = self.setting
        if setting.given is None:
            return setting.corpus
        clips = setting.given.codecs[self.given] if self.given else setting.given.originals
        return replace(setting.corpus, clips=clips)

    @property
    def data(self) -> dict[str, Any]:
        return self.setting.data | {"clips": len(self.corpus)}

    @cached_property
    def folder(self) -> Path:
        return results.codec_folder(self.setting.folder, self.name)

    @property
    def device(self) -> str:
        return "cpu" if self.codec is None else str(self.codec.device)

    @cached_property
    def weights(self) -> dict[str, Any]:
        """What distinguishes this codec from any other codec, also of the same name."""
        return {} if self.codec is None else identity.of_codec(self.codec)

    @property
    def identity(self) -> dict[str, Any]:
        """All that the scores depend on; equal identities give equal scores."""
        return self.plan | {"packages": identity.packages()}

    @property
    def plan(self) -> dict[str, Any]:
        """The identity without packages; a summary stores all their versions separately."""
        setting = self.setting
        code = {} if self.codec is None else {"codec": identity.code_sha256(type(self.codec))}
        code["tasks"] = {task.name: identity.code_of_task(task) for task in setting.tasks}
        return {
            "audiotok": audiotok.__version__,
            "suite": {"name": setting.suite.name, "version": setting.suite.version},
            "seed": setting.suite.seed,
            "data": self.data,
            "tasks": {task.name: summary.versions(task) for task in setting.tasks},
            "not_measured": sorted(setting.not_measured),
            "codec": {"name": self.name} | self.weights,
            "code": code,
            "device": self.device.partition(":")[0],
        }

    @property
    def about(self) -> dict[str, Any]:
        """What a table shows about the codec: its card, values derived from it, its role."""
        if self.codec is None:
            stand_in = self.setting.given and not self.given and self.setting.given.stand_in
            about = {"name": self.name, "role": "given" if self.given else "ceiling"}
            return about | ({"stand_in": stand_in} if stand_in else {})
        card = self.codec.card
        return (
            card.model_dump(mode="json")
            | {key: getattr(card, key) for key in ("num_codebooks", *_RATES)}
            | {"role": "floor" if card.family == FLOOR else card.kind, "name": self.name}
            | {key: self.weights[key] for key in _WEIGHTS}
            | (
                {"training_data": []} if self.own_weights or self.codec.random_weights else {}
            )  # the card's training data is that of other weights
        )


_WEIGHTS = ("fingerprint", "network_sha256", "revision")
_RATES = ("frame_rate", "token_rate", "bitrate")
