"""Encode a clip to bytes and decode it, or take both from the cache; then list what to score.

Cache keys of tokens and waveforms: the hash of the sound and the identity of the codec. Keys of
scores: the hashes of reference, reconstruction and tokens, and the identity of the task. So after a
change of a metric, scores are computed from cached waveforms and no codec runs.
"""

from __future__ import annotations

import gc
import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from audiotok.codec import registry
from audiotok.data import Clip, Corpus
from audiotok.errors import CodecError, ResultsError
from audiotok.harness import summary
from audiotok.harness.cache import Cache, Entry
from audiotok.harness.plan import Setting, Subject
from audiotok.harness.settings import FRESH, ONLY_CACHE
from audiotok.harness.workers import Decoder, Job, Score, Scored
from audiotok.results import identity
from audiotok.results.identity import digest
from audiotok.sound.audio import Audio
from audiotok.system.failures import Failure
from audiotok.system.interrupts import deferred
from audiotok.tasks import Task
from audiotok.tasks.speed import hardware
from audiotok.tokens.tokens import Tokens


@dataclass
class Coded:
    """A clip after encoding and decoding.

    Attributes:
        content: bytes of its .atok file, if it has tokens.
        cached: cached scores, by task.
        keys: cache keys of the scores that are missing, by task.
        job: the tasks that are still to be scored; None if there are none.
        failure: set if encoding or decoding failed, so that nothing can be scored.
    """

    content: bytes | None = None
    cached: Mapping[str, Score] = ()
    keys: Mapping[str, dict] = ()
    job: Job | None = None
    failure: Score | None = None


class Coder:
    """Encodes and decodes the clips of one subject.

    With the setting `reuse` "fresh" it does not read the cache; with "only-cache" it does not run
    the codec.
    """

    def __init__(self, subject: Subject, cache: Cache):
        self._subject, self._cache, self._reuse = subject, cache, subject.setting.settings.reuse
        self._setting, self._codec = subject.setting, subject.codec
        self._setting.keys = self._setting.keys or task_keys(self._setting)
        self._hardware = hardware(subject.device)
        self._warmed_up = False  # whether the codec ran in this process
        self.timed_before = 0  # clips with times from an earlier run
        self.not_timed = 0  # clips without times, since no codec was to run

    def code(self, index: int, clip: Clip) -> Coded:
        """Encode and decode this clip; an exception of the codec is recorded as a failure."""
        stage = ["read"]
        device = self._codec and self._codec.device
        try:
            reference = clip.original() if clip.reference or not self._subject.given else None
            with torch.random.fork_rng([device] if device and device.type == "cuda" else []):
                return self._coded(index, clip, reference, stage)
        except _NotCached as reason:
            raise ResultsError(str(reason)) from None
        except Exception as error:  # the guard around one clip: recorded, counted, never a number
            score = Score()
            score.fail(error, stage=stage[0])
            return Coded(failure=score)

    def score(self, coded: Coded, scored: Scored) -> Score:
        """All scores of a clip, in the order of the tasks; new ones are cached."""
        if coded.failure is not None:
            return coded.failure
        if scored.mismatch is not None:
            raise CodecError(
                f"{self._subject.name} is not measured: {scored.mismatch}; decode may use "
                "only the tokens, see `audiotok check`"
            )
        total = Score()
        if scored.failure is not None:
            total.fail(scored.failure)
            return total
        for task in self._tasks:
            score = coded.cached.get(task.name) or scored.scores[task.name]
            if task.name in coded.keys and score.lasting:
                content = json.dumps([score.values, score.failures]).encode()
                self._cache.put("scores", coded.keys[task.name], content)
            total.join(score)
        return total

    def conclude(
        self, task: Task, corpus: Corpus, tokens: list[Tokens | None] | None
    ) -> dict[int, Score]:
        """The task's `conclude` over all clips, cached by their tokens. If it fails, it fails for
        every clip."""
        token_hashes = tokens and [
            clip_tokens and hashlib.sha256(clip_tokens.to_bytes()).hexdigest()
            for clip_tokens in tokens
        ]
        inputs = [
            corpus.sha256,
            digest(token_hashes),
            self._subject.given,
            self._setting.suite.seed,
        ]
        key = self._setting.keys[task.name] | {"concluded": inputs}
        codec = self._codec if self._reuse != ONLY_CACHE else None
        if self._codec is not None and task.uses_codec:
            key = key | self._codec_key
        if (entry := self._get("scores", key)) is not None:
            return {int(index): Score(*score) for index, score in json.loads(entry.content).items()}
        note = self._setting.observer.note
        try:
            values = task.conclude(
                corpus, tokens, lambda text: note(f"{self._subject.name}: {text}"), codec
            )
        except Exception as error:  # only the columns of this task are lost
            failed = Score()
            failed.fail(error, stage="conclude", task=task.name)
            return dict.fromkeys(range(len(corpus)), failed)
        scores = {index: Score() for index in sorted(values)}
        for index, score in scores.items():
            score.add(task.name, values[index])
        if all(score.lasting for score in scores.values()):
            content = {index: [score.values, score.failures] for index, score in scores.items()}
            self._cache.put("scores", key, json.dumps(content).encode())
        return scores

    @property
    def _tasks(self) -> list[Task]:
        """The tasks of the setting; those that measure tokens, where they have no decoder."""
        encoder_only = self._codec is not None and bool(self._codec.card.needs)
        return [t for t in self._setting.tasks if not (encoder_only and t.reconstructs)]

    def release(self) -> None:
        """Free memory before a clip that failed is tried again."""
        gc.collect()
        if self._subject.device.startswith("cuda"):
            torch.cuda.empty_cache()

    # --- one clip ------------------------------------------------------------------------------

    def _coded(self, index: int, clip: Clip, reference: Audio | None, stage: list[str]) -> Coded:
        reference_sha256 = reference and _sound_sha256(reference)
        keys, cached = {}, {}
        self._look_up(
            keys, cached, [t for t in self._tasks if t.timing], self._timing_key(reference_sha256)
        )
        timed_before = not keys  # if times are needed, encode and decode again
        content, tokens, seconds, observed = None, None, {}, {}
        if self._codec is None:
            sound = clip.read() if self._subject.given else reference
        else:
            if keys and self._reuse == ONLY_CACHE:
                keys, timed_before = {}, True
                self.not_timed += 1
            stage[0] = "encode"
            content, encoding = self._encoded(
                clip,
                reference,
                reference_sha256=reference_sha256,
                from_cache=timed_before,
                stage=stage,
            )
            tokens = Tokens.from_bytes(content)
            stage[0] = "decode"
            sound, decoding = reference, {}  # no task that measures tokens alone reads it
            if not self._codec.card.needs:
                sound, decoding = self._decoded(
                    clip, reference, content=content, tokens=tokens, from_cache=timed_before
                )
            seconds = encoding | decoding
            self.timed_before += timed_before and bool(cached)
        inputs = {
            "clip": [clip.id, clip.text, clip.speaker, clip.label],
            "reference": reference_sha256,
            "reconstruction": _sound_sha256(sound),
            "tokens": content and hashlib.sha256(content).hexdigest(),
        }
        self._look_up(keys, cached, [t for t in self._tasks if not t.timing], inputs)
        todo = [task for task in self._tasks if task.name not in cached]
        if not todo:
            return Coded(content, cached, keys)
        if self._codec is not None:
            stage[0] = "observe"
            observing = [task for task in todo if task.observes and task.name in keys]
            observed = self._observed(clip, observing, reference, tokens)
        job = Job(
            clip,
            reference and _array(reference),
            _array(sound),
            tokens=content,
            seconds=seconds,
            observed=observed,
            tasks=[task.name for task in todo],
            decoder=self._decoder(index),
        )
        return Coded(content, cached, keys, job)

    def _look_up(
        self, keys: dict, cached: dict[str, Score], tasks: list[Task], inputs: Mapping[str, Any]
    ) -> None:
        """Add cached scores to `cached`, and the keys of the missing ones to `keys`.

        Args:
            inputs: what the scores depend on, besides the task.
        """
        for task in tasks:
            key = self._setting.keys[task.name] | inputs
            if task.observes and self._codec is not None:
                key = key | self._codec_key
            if (entry := self._get("scores", key)) is not None:
                cached[task.name] = Score(*json.loads(entry.content))
            else:
                keys[task.name] = key

    def _encoded(
        self,
        clip: Clip,
        reference: Audio,
        *,
        reference_sha256: str,
        from_cache: bool,
        stage: list[str],
    ) -> tuple[bytes, dict[str, float]]:
        """Bytes of the tokens, and the seconds that encode took, if it ran."""
        key = self._codec_key | {"sound": reference_sha256}
        if from_cache and (entry := self._get("tokens", key)) is not None:
            return entry.content, {}
        self._before_run(clip, reference)
        start = time.perf_counter()
        with deferred():
            tokens = self._codec.encode(reference)
        seconds = time.perf_counter() - start
        stage[0] = "tokens"
        content = tokens.to_bytes()
        self._cache.put("tokens", key, content)
        return content, {"seconds_encode": seconds}

    def _decoded(
        self, clip: Clip, reference: Audio, *, content: bytes, tokens: Tokens, from_cache: bool
    ) -> tuple[Audio, dict[str, float]]:
        """The reconstruction at the reference's rate, and the seconds of decode, if it ran."""
        rate = reference.sample_rate
        key = self._codec_key | {"tokens": hashlib.sha256(content).hexdigest(), "rate": rate}
        if from_cache and (entry := self._get("waveforms", key)) is not None:
            waveform = np.frombuffer(entry.content, "<f4").reshape(entry.about["shape"])
            return Audio(torch.from_numpy(waveform.astype(np.float32)), rate), {}
        self._before_run(clip, reference)
        start = time.perf_counter()
        with deferred():
            sound = self._codec.decode(tokens, rate)
        seconds = time.perf_counter() - start
        waveform = _array(sound)[0]
        about = {"shape": waveform.shape}
        self._cache.put("waveforms", key, waveform.astype("<f4").tobytes(), about)
        return sound, {"seconds_decode": seconds}

    def _observed(
        self, clip: Clip, tasks: list[Task], reference: Audio, tokens: Tokens
    ) -> dict[str, Any]:
        """The observations of tasks that run the codec; a failed one is stored as its failure."""
        observations: dict[str, Any] = {}
        for task in tasks:
            self._before_run(clip, reference)
            try:
                with deferred():
                    observations[task.name] = task.observe(self._codec, reference, tokens)
            except Exception as error:  # as for the clip: recorded, counted
                observations[task.name] = Failure.of(error)
        return observations

    def _before_run(self, clip: Clip, reference: Audio) -> None:
        """Before a call of the codec: check that it may run, run it once so that a slow first call
        is not timed, and seed its random numbers."""
        if self._reuse == ONLY_CACHE:
            raise _NotCached(
                f"{self._subject.name}: the clip {clip.id} is not in the cache "
                f"{self._cache.folder}: measure it without --only-cache"
            )
        if not self._warmed_up:
            self._warmed_up = True
            with suppress(Exception), deferred():  # the timed call raises the same exception
                self._codec.decode(self._codec.encode(reference), reference.sample_rate)
        torch.manual_seed(self._setting.suite.seed)

    def _decoder(self, index: int) -> Decoder | None:
        """For third-party codecs: how the scoring process can decode the tokens once more. Only for
        the clips of one process."""
        family = type(self._codec)
        built_in = self._codec is None or family.__module__.startswith("audiotok.codecs.")
        if built_in or self._codec.card.needs or index % max(1, self._setting.workers):
            return None
        name = registry.name_for(family, self._codec.card)
        checkpoint = self._codec.checkpoint and str(self._codec.checkpoint.resolve())
        return name and Decoder(
            name=name,
            checkpoint=checkpoint,
            device=self._subject.device,
            seed=self._setting.suite.seed,
            code=identity.code_sha256(family),
        )

    # --- keys ----------------------------------------------------------------------------------

    def _get(self, kind: str, key: Mapping[str, Any]) -> Entry | None:
        return None if self._reuse == FRESH else self._cache.get(kind, key)

    @cached_property
    def _codec_key(self) -> dict[str, str]:
        """All that codes and reconstructions depend on, except the clip."""
        subject_identity = self._subject.identity
        inputs = {key: subject_identity[key] for key in ("codec", "packages", "seed", "device")}
        inputs |= {"code": subject_identity["code"]["codec"]}
        return {"codec": self._subject.name, "codec_sha256": digest(inputs)}

    def _timing_key(self, reference_sha256: str | None) -> dict[str, str]:
        """All that times depend on: cached times of the same hardware are valid."""
        return (self._codec_key if self._codec is not None else {}) | {
            "sound": reference_sha256,
            "hardware": self._hardware,
        }


def task_keys(setting: Setting) -> dict[str, dict[str, str]]:
    """For each task, all that its scores depend on, except the clip. Call it before scoring, which
    may change the state of a task."""
    keys = {}
    for task in setting.tasks:
        inputs = {
            "versions": summary.versions(task),
            "columns": [asdict(column) for column in task.columns],
            "state": json.dumps(vars(task), skipkeys=True, default=_plain),
            "corpus": task.cache_key(setting.corpus),
            "code": identity.code_of_task(task),
            "packages": identity.packages(),
        }
        keys[task.name] = {"task": task.name, "task_sha256": digest(inputs)}
    return keys


class _NotCached(Exception):
    """A cache entry is missing, and the codec may not run."""


def _plain(value: object) -> Any:
    """What stands for a value that JSON cannot store: a sorted list for a set; for anything else,
    which `prepare` computed, its type."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(type(value))


def _array(audio: Audio) -> tuple[np.ndarray, int]:
    return audio.waveform.cpu().numpy(), audio.sample_rate


def _sound_sha256(audio: Audio) -> str:
    waveform = np.ascontiguousarray(_array(audio)[0], "<f4")
    return f"{hashlib.sha256(waveform.data).hexdigest()}@{audio.sample_rate}x{audio.channels}"
