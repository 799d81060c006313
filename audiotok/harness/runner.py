"""Gets the result of each codec: reuses a finished one, resumes a stopped run, or measures.

A result is written when every clip has values or a permanent failure. If clips failed for a
transient reason, the journal is kept, and the same command tries these clips again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import filelock

from audiotok.errors import CodecError, ResultsError
from audiotok.harness import summary
from audiotok.harness.cache import Cache
from audiotok.harness.clusters import RayWorkers
from audiotok.harness.coding import Coded, Coder
from audiotok.harness.journal import Journal, other_runs, remove_unfinished, unfinished
from audiotok.harness.plan import Setting, Subject
from audiotok.harness.settings import FRESH, ONLY_MISSING
from audiotok.harness.workers import Scored, Workers
from audiotok.results import identity, provenance, results
from audiotok.results.results import Result
from audiotok.tasks.speed import hardware

Entry = dict[str, Any]  # of the journal, see `summary.Entry`
MAX_CONSECUTIVE_FAILURES = 3  # then the cause is not transient


class Runner:
    """Gets the results of subjects; its processes start with the first measurement, and end with
    `stack`."""

    def __init__(self, setting: Setting, cache: Cache, stack: ExitStack):
        self._setting, self._cache, self._stack = setting, cache, stack

    @cached_property
    def _pool(self) -> Workers | RayWorkers:
        setting = self._setting
        if setting.settings.executor == "ray":
            pool = RayWorkers(setting.tasks, setting.settings.address)
        else:
            pool = Workers(setting.tasks, setting.workers)
        return self._stack.enter_context(pool)

    def result(self, subject: Subject, wait: bool) -> Result | None:
        """The result, reused or measured; None if another process measures it and not `wait`."""
        note = self._setting.observer.note
        result, message = _finished(subject)
        if result is None:
            with _lock(subject, wait) as locked:
                if not locked:
                    return None
                if wait:  # the other process may have finished it
                    result, message = _finished(subject)
                if result is None:
                    if message:
                        note(message)
                    return self._measured(subject)
        elif unfinished(subject.folder):  # killed after it wrote its last file
            with suppress(ResultsError), _lock(subject, wait=False) as locked:
                if locked:
                    remove_unfinished(subject.folder)
        note(message)
        return result

    def _measured(self, subject: Subject) -> Result:
        """Measures the clips that are not in the journal, then writes rows and summary; if clips
        failed for a transient reason, keeps the journal instead."""
        note = self._setting.observer.note
        coder = Coder(subject, self._cache)
        journal = Journal(subject.folder, subject.identity)
        if self._setting.settings.reuse == FRESH and journal.entries:
            journal.remove()
            journal = Journal(subject.folder, subject.identity)
        if journal.damaged:
            note(
                f"{subject.name}: {journal.damaged} damaged lines of {journal.path} are "
                "left out: their clips are measured again"
            )
        for old_plan, clips in other_runs(journal):
            changed = identity.changes(old_plan, subject.identity) or "the version of audiotok"
            note(f"{subject.name}: {clips} clips of a stopped run are measured again: {changed}")
        try:
            started = time.perf_counter()
            failed = _score_clips(subject, self._pool, journal, coder)
            entries = [*journal.entries.values(), *failed.values()]
            entries.sort(key=lambda entry: entry["index"])
            if not failed:
                entries = _concluded(subject, entries, journal, coder)
            seconds = time.perf_counter() - started
            result = _result(subject, entries, journal=journal, coder=coder, seconds=seconds)
            if result.transient_failures:
                journal.close()
                return result
            _write(result)
        except CodecError:
            journal.remove()  # results of a codec that bypasses its tokens are not kept
            raise
        except BaseException:
            journal.close()
            raise
        journal.remove()
        note(f"{subject.name}: measured in {result.run['seconds']:.0f} s, {subject.folder}")
        return results.read(subject.folder)


def _finished(subject: Subject) -> tuple[Result | None, str]:
    """The finished result if it may be reused, else None; and a line with the reason."""
    reuse = subject.setting.settings.reuse
    if reuse == FRESH or (result := results.read(subject.folder)) is None:
        return None, ""
    rows = subject.folder / "rows.parquet"
    old_identity = result.summary["plan"] | {
        "packages": identity.packages(result.summary["packages"])
    }
    changed = identity.changes(old_identity, subject.identity)
    if not rows.is_file() or results.sha256(rows) != result.summary["rows_sha256"]:
        return None, f"{result.codec}: measured again, because {rows} was changed"
    if result.run.get("clips_not_timed") and reuse is None:
        return None, f"{result.codec}: measured again, because it has no times"
    if line := results.retry_message(result):
        return None, line
    if changed and reuse != ONLY_MISSING:
        return None, f"{result.codec}: measured again, because this changed: {changed}"
    status = f"reused, although this changed: {changed}" if changed else "measured before"
    return result, f"{result.codec}: {status}, {subject.folder}"


@contextmanager
def _lock(subject: Subject, wait: bool) -> Iterator[bool]:
    """Holds the lock of a subject: True; or False if another process has it and not `wait`. The
    system releases the lock if this process dies."""
    folder = subject.setting.folder
    lock = filelock.FileLock(folder / f".{subject.folder.name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(filelock.Timeout):
            lock.acquire(timeout=0)
        if wait and not lock.is_locked:
            subject.setting.observer.note(
                f"{subject.name}: waits for another process that measures it into {folder}"
            )
            lock.acquire()
    except OSError as reason:
        raise ResultsError(
            f"cannot write into {folder}: {reason.strerror or reason}; give another folder with "
            "--out"
        ) from reason
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _score_clips(
    subject: Subject, pool: Workers | RayWorkers, journal: Journal, coder: Coder
) -> dict[int, Entry]:
    """Encodes, decodes and scores the clips that are not in the journal, and adds them to it.

    Returns the entries of clips with transient failures, by index; these are not added.
    """
    clips, observer = subject.corpus.clips, subject.setting.observer
    todo = [index for index in range(len(clips)) if index not in journal.entries]
    if len(todo) < len(clips):
        done_before = f"{len(clips) - len(todo)} of {len(clips)} clips"
        observer.note(f"{subject.name}: continues after {done_before}")
    coded: dict[int, Coded] = {}  # not yet scored
    failed: dict[int, Entry] = {}

    def start(index: int) -> None:
        coded_clip = coded[index] = coder.code(index, clips[index])
        if coded_clip.content is not None:
            journal.tokens.add(index, coded_clip.content)
        job, coded_clip.job = coded_clip.job, None  # frees its sounds as soon as it is scored
        if job is None:
            record([(index, Scored())])
        else:
            pool.submit(index, job)

    def record(done: Iterable[tuple[int, Scored]]) -> None:
        for index, scored in done:
            score = coder.score(coded.pop(index), scored)
            entry = {"index": index, "clip": clips[index].id}
            entry |= {"values": score.values, "failures": score.failures}
            if score.transient:
                failed[index] = entry
            else:
                failed.pop(index, None)
                journal.append(entry)
            observer.progress(subject.name, len(journal.entries), len(clips))

    observer.progress(subject.name, len(journal.entries), len(clips))
    for index in todo:
        start(index)
        record(pool.finished())
    record(pool.finished(wait=True))
    consecutive = 0
    for index in sorted(failed):  # try again, one clip at a time
        if consecutive < MAX_CONSECUTIVE_FAILURES:
            coder.release()
            start(index)
            record(pool.finished(wait=True))
            consecutive = consecutive + 1 if index in failed else 0
    return failed


def _concluded(
    subject: Subject, entries: list[Entry], journal: Journal, coder: Coder
) -> list[Entry]:
    """The entries of all clips, with the columns of `Task.conclude`."""
    corpus = subject.corpus
    if subject.given:  # the sounds of the clips are the reconstructions themselves
        corpus = replace(corpus, clips=tuple(replace(clip, reference=None) for clip in corpus))
    for task in subject.setting.tasks:
        if not task.concludes:
            continue
        tokens = None
        if subject.codec is not None:
            tokens = [journal.tokens.of(index) for index in range(len(corpus))]
        scores = coder.conclude(task, corpus, tokens)
        for position, entry in enumerate(entries):
            if (score := scores.get(entry["index"])) is not None:
                values = entry["values"] | score.values
                failures = entry["failures"] + score.failures
                entries[position] = entry | {"values": values, "failures": failures}
    return entries


def _result(
    subject: Subject, entries: list[Entry], *, journal: Journal, coder: Coder, seconds: float
) -> Result:
    """The result of these entries; not written."""
    setting = subject.setting
    timing = [task for task in setting.tasks if task.timing]
    scoring = [task for task in setting.tasks if not task.timing]
    seed = setting.suite.seed
    clusters = setting.corpus.clusters
    entries = [entry | clusters[entry["index"]] for entry in entries]
    rows = summary.frame(subject.name, entries, scoring, excluded=timing)
    times = summary.frame(subject.name, entries, timing, excluded=scoring)
    plan = subject.plan
    content = {
        "schema": results.SCHEMA,
        "plan": plan,
        "suite": plan["suite"]
        | {"tasks": list(setting.suite.tasks), "headline": list(setting.suite.headline)},
        "data": plan["data"],
        "codec": subject.about,
        "scores": summary.scores(entries, scoring, journal.tokens, seed),
        "details": summary.details(entries, scoring, journal.tokens),
        "failures": summary.failures(entries),
        "not_measured": setting.not_measured,
        "packages": provenance.packages(),
    }
    run = {
        "schema": results.SCHEMA,
        "times": summary.scores(entries, timing, journal.tokens, seed),
        "seconds": seconds,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": provenance.command(),
        "git": provenance.git(),
        "device": subject.device,
        "hardware": hardware(subject.device),
        "workers": setting.workers,
        "clips_timed_before": coder.timed_before,
        "clips_not_timed": coder.not_timed,
    }
    result = Result(subject.folder, content, run)
    vars(result).update(rows=rows, times=times)  # the cached properties; nothing is on disk yet
    return result


def _write(result: Result) -> None:
    """Writes rows, times and run, then the summary: a run with a summary that matches its rows is
    finished."""
    folder = result.folder
    rows_sha256 = results.write_rows(folder / "rows.parquet", result.rows)
    results.write_rows(folder / "times.parquet", result.times)
    content = result.summary | {"rows_sha256": rows_sha256}
    run = result.run | {"summary_sha256": results.content_sha256(content)}
    results.write_json(folder / "run.json", run)
    results.write_json(folder / "summary.json", content)
