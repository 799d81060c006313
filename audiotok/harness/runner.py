"""Brings codecs to results: taken from an earlier run, gone on with, or measured anew.

A result is written when every clip has its values or a failure that would be the same again. Where
clips failed for what may pass, the journal stays, and the same command tries these clips again.
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
from audiotok.harness.journal import Journal, others, sweep, unfinished
from audiotok.harness.plan import Setting, Subject
from audiotok.harness.settings import FRESH, ONLY_MISSING
from audiotok.harness.workers import Scored, Workers
from audiotok.results import identity, provenance, results
from audiotok.results.results import Result
from audiotok.tasks.speed import hardware

Entry = dict[str, Any]  # of the journal, see `summary.Entry`
HOPELESS = 3  # clips in a row that fail again: then their cause has not passed


class Runner:
    """Brings subjects to results; its processes start when there is something to measure, and end
    with `stack`."""

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
        """Measured before or now; None where another process measures it, unless we `wait`."""
        note = self._setting.observer.note
        result, why = _finished(subject)
        if result is None:
            with _lock(subject, wait) as locked:
                if not locked:
                    return None
                if wait:  # the other process may be done with it
                    result, why = _finished(subject)
                if result is None:
                    if why:
                        note(why)
                    return self._measured(subject)
        elif unfinished(subject.folder):  # killed after its last file
            with suppress(ResultsError), _lock(subject, wait=False) as locked:
                if locked:
                    sweep(subject.folder)
        note(why)
        return result

    def _measured(self, subject: Subject) -> Result:
        """Measures what the journal lacks, then writes rows and summary; where clips failed for
        now, keeps the journal instead."""
        note = self._setting.observer.note
        coder = Coder(subject, self._cache)
        journal = Journal(subject.folder, subject.identity)
        if self._setting.settings.reuse == FRESH and journal.entries:
            journal.remove()
            journal = Journal(subject.folder, subject.identity)
        if journal.damaged:
            note(
                f"{subject.name}: {journal.damaged} torn or damaged lines of {journal.path} are "
                "left out: what they held is measured again"
            )
        for held, clips in others(journal):
            changed = identity.changes(held, subject.identity) or "the version of audiotok"
            note(f"{subject.name}: {clips} clips of a stopped run are measured anew: {changed}")
        try:
            started = time.perf_counter()
            failed = _score_clips(subject, self._pool, journal, coder)
            entries = [*journal.entries.values(), *failed.values()]
            entries.sort(key=lambda entry: entry["index"])
            if not failed:
                entries = _concluded(subject, entries, journal, coder)
            seconds = time.perf_counter() - started
            result = _result(subject, entries, journal=journal, coder=coder, seconds=seconds)
            if result.failed_for_now:
                journal.close()
                return result
            _write(result)
        except CodecError:
            journal.remove()  # what a codec won by cheating is not kept
            raise
        except BaseException:
            journal.close()
            raise
        journal.remove()
        note(f"{subject.name}: measured in {result.run['seconds']:.0f} s, {subject.folder}")
        return results.read(subject.folder)


def _finished(subject: Subject) -> tuple[Result | None, str]:
    """The finished result, if it may be used, and a line that says why or why not."""
    reuse = subject.setting.settings.reuse
    if reuse == FRESH or (result := results.read(subject.folder)) is None:
        return None, ""
    rows = subject.folder / "rows.parquet"
    held = result.summary["plan"] | {"packages": identity.packages(result.summary["packages"])}
    changed = identity.changes(held, subject.identity)
    if not rows.is_file() or results.sha256(rows) != result.summary["rows_sha256"]:
        return None, f"{result.codec}: measured again, for {rows} was changed"
    if result.run.get("clips_not_timed") and reuse is None:
        return None, f"{result.codec}: measured again, for its times were not taken"
    if line := results.to_try_again(result):
        return None, line
    if changed and reuse != ONLY_MISSING:
        return None, f"{result.codec}: measured again, for this changed: {changed}"
    kept = f"kept as it is, though this changed: {changed}" if changed else "measured before"
    return result, f"{result.codec}: {kept}, {subject.folder}"


@contextmanager
def _lock(subject: Subject, wait: bool) -> Iterator[bool]:
    """Nobody else measures this subject meanwhile: True; or False, where somebody does and we do
    not `wait`. The system releases the lock if this process dies."""
    folder = subject.setting.folder
    lock = filelock.FileLock(folder / f".{subject.folder.name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(filelock.Timeout):
            lock.acquire(timeout=0)
        if wait and not lock.is_locked:
            subject.setting.observer.note(
                f"{subject.name}: waits for another audiotok that measures it into {folder}"
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
    """Fills the journal; returns the entries of clips that failed for what may pass, by index."""
    clips, observer = subject.corpus.clips, subject.setting.observer
    todo = [index for index in range(len(clips)) if index not in journal.entries]
    if len(todo) < len(clips):
        gone = f"{len(clips) - len(todo)} of {len(clips)} clips"
        observer.note(f"{subject.name}: goes on after {gone}")
    coded: dict[int, Coded] = {}  # under way
    failed: dict[int, Entry] = {}

    def start(index: int) -> None:
        made = coded[index] = coder.code(index, clips[index])
        if made.content is not None:
            journal.tokens.add(index, made.content)
        job, made.job = made.job, None  # its sounds are not kept longer than they wait
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
    in_a_row = 0
    for index in sorted(failed):  # once more, each alone
        if in_a_row < HOPELESS:
            coder.release()
            start(index)
            record(pool.finished(wait=True))
            in_a_row = in_a_row + 1 if index in failed else 0
    return failed


def _concluded(
    subject: Subject, entries: list[Entry], journal: Journal, coder: Coder
) -> list[Entry]:
    """The entries of all clips, with what tasks conclude from them together."""
    corpus = subject.corpus
    if subject.given:  # then the sounds are the corpus's own reconstructions
        corpus = replace(corpus, clips=tuple(replace(clip, reference=None) for clip in corpus))
    for task in subject.setting.tasks:
        if not task.concludes:
            continue
        tokens = None
        if subject.codec is not None:
            tokens = [journal.tokens.of(index) for index in range(len(corpus))]
        more = coder.conclude(task, corpus, tokens)
        for position, entry in enumerate(entries):
            if (score := more.get(entry["index"])) is not None:
                values = entry["values"] | score.values
                failures = entry["failures"] + score.failures
                entries[position] = entry | {"values": values, "failures": failures}
    return entries


def _result(
    subject: Subject, entries: list[Entry], *, journal: Journal, coder: Coder, seconds: float
) -> Result:
    """The result that these entries give; not written."""
    setting = subject.setting
    timing = [task for task in setting.tasks if task.timing]
    scoring = [task for task in setting.tasks if not task.timing]
    seed = setting.suite.seed
    clusters = setting.corpus.clusters
    entries = [entry | clusters[entry["index"]] for entry in entries]
    rows = summary.frame(subject.name, entries, scoring, others=timing)
    times = summary.frame(subject.name, entries, timing, others=scoring)
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
    vars(result).update(rows=rows, times=times)  # not those on disk
    return result


def _write(result: Result) -> None:
    """rows, times, run, and last the summary: where it is and fits its rows, a run is finished."""
    folder = result.folder
    rows_sha256 = results.write_rows(folder / "rows.parquet", result.rows)
    results.write_rows(folder / "times.parquet", result.times)
    content = result.summary | {"rows_sha256": rows_sha256}
    run = result.run | {"summary_sha256": results.content_sha256(content)}
    results.write_json(folder / "run.json", run)
    results.write_json(folder / "summary.json", content)
