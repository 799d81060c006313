"""Bench: a plan, a run that survives crashes, rows, a summary. `audiotok.bench` is its function.

Per clip, in this process: read -> encode -> bytes -> decode. Beside it, worker processes score.
A plan says all that scores depend on; results of another plan are never mixed with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from audiotok import checkpoints, provenance, registry, results, summary
from audiotok.cache import Cache, opened
from audiotok.clusters import RayWorkers
from audiotok.coding import FRESH, ONLY_CACHE, Coded, Coder
from audiotok.errors import AudiotokError, CodecError, ResultsError
from audiotok.journal import Journal, differences, sweep, unfinished
from audiotok.names import Recorded
from audiotok.plan import Observer, Setting, Subject, make_setting
from audiotok.results import FLOOR, Result
from audiotok.suite import load_suite
from audiotok.tasks.speed import hardware
from audiotok.workers import Scored, Workers

ONLY_MISSING = "only-missing"
EXECUTORS = ("local", "ray")
REUSE = (ONLY_MISSING, ONLY_CACHE, FRESH)


def bench(
    tokenizer: str | Sequence[str],
    data: str | Path | None = None,
    suite: str | Path = "smoke",
    limit: int | None = None,
    tasks: Sequence[str] | None = None,
    out: str | Path = "results",
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    workers: int | None = None,
    baselines: bool = True,
    reuse: str | None = None,
    executor: str = "local",
    address: str | None = None,
) -> pd.DataFrame:
    """Measures codecs; what was measured before is taken from `out`.

    Args:
        tokenizer: a codec's name, or several; `codebooks=*` and `merge=*` stand for all of them.
        data: "bundled", a folder, a manifest, "librispeech/<split>"; None: the suite's.
        suite: name of a suite that ships, or a YAML file.
        limit: only the first so many clips.
        tasks: only these of the suite's tasks.
        out: folder of all results.
        device: "cpu", "cuda", "cuda:1", "auto".
        checkpoint: weights for the one codec in `tokenizer`.
        workers: processes that score; None: as many as there are cores, at most 8; 0: none.
        baselines: measure the suite's baselines as well.
        reuse: of what was measured before. None: all that would come out the same. "only-missing":
            finished results also where versions or weights have changed since. "only-cache": run
            no codec, only score what the cache holds. "fresh": nothing.
        executor: who scores, "local" processes or "ray", a cluster at `address`; codecs run here.

    Returns:
        One row per codec (the reference itself first, random codes last), one column per metric:
        means over clips, or numbers of the whole corpus; NaN where nothing was measured.
    """
    found = run(
        tokenizer,
        data,
        suite,
        limit,
        tasks,
        out,
        device,
        checkpoint,
        workers,
        baselines,
        reuse,
        executor=executor,
        address=address,
    )
    return results.table(found)


def run(
    tokenizer: str | Sequence[str],
    data_name: str | Path | None = None,
    suite: str | Path = "smoke",
    limit: int | None = None,
    task_names: Sequence[str] | None = None,
    out: str | Path = "results",
    device: str = "cpu",
    checkpoint: str | Path | None = None,
    workers: int | None = None,
    baselines: bool = True,
    reuse: str | None = None,
    observer: Observer | None = None,
    executor: str = "local",
    address: str | None = None,
) -> list[Result]:
    """`bench`, but tells an observer, and returns the results themselves."""
    if reuse not in (None, *REUSE):
        raise AudiotokError(f"reuse is None or one of {', '.join(REUSE)}, not {reuse!r}")
    if executor not in EXECUTORS or (address is not None and executor != "ray"):
        raise AudiotokError(
            f"the executor is one of {', '.join(EXECUTORS)}, and an address is for ray alone: not "
            f"{executor!r} with the address {address!r}"
        )
    suite = load_suite(suite)
    typed = split_names(tokenizer) if isinstance(tokenizer, str) else list(tokenizer)
    if checkpoint is not None and len(typed) != 1:
        raise AudiotokError(
            f"--checkpoint is the weights of one codec, but {len(typed)} are named: "
            f"{', '.join(typed)}"
        )
    asked = [name for one in typed for name in registry.expand(one)]
    cards: dict[str, str] = {}  # full name -> name as typed
    kinds: dict[str, tuple] = {}  # full name -> family and card
    beside = [name for name in suite.baselines if name not in typed] if baselines else []
    for name in [*asked, *beside, FLOOR]:
        kind = registry.find(name)
        same = cards.setdefault(kind[1].name, name)
        if kinds.setdefault(kind[1].name, kind) != kind:
            raise AudiotokError(
                f"{same} and {name} are both named {kind[1].name}, and a table has one row for "
                "each name: give one of the cards another name"
            )
    for name in asked:  # weights that are missing are said before anything is measured
        checkpoints.resolve(registry.find_card(name), checkpoint)
    for name in beside:
        if isinstance(name, Recorded):
            registry.check_recorded(name)
    setting = make_setting(suite, data_name, limit, task_names, Path(out), workers, observer)

    cache = opened(setting.observer.note)
    found: list[Result] = []
    with ExitStack() as stack:
        stack.callback(cache.close)
        runner = Runner(setting, cache, reuse, stack, executor, address)
        todo = _subjects(setting, list(cards.values()), asked, checkpoint, device)
        for wait in False, True:  # what another process measures comes last
            busy = []
            for make in todo:
                result = runner.result(make(), wait)
                (busy if result is None else found).append(make if result is None else result)
            todo = busy
    return sorted(found, key=results.order)


def _subjects(
    setting: Setting,
    names: Sequence[str],
    asked: Sequence[str],
    checkpoint: str | Path | None,
    device: str,
) -> list[Callable[[], Subject]]:
    """What gives the rows of the table; each loads its codec when it is called."""

    def coded(name: str) -> Subject:
        own = checkpoint if name in asked else None
        codec = registry.load(name, own, device, quiet=True)
        return Subject(setting, codec, own_weights=own is not None)

    found = [partial(Subject, setting, None)]
    if any(clip.reference for clip in setting.corpus):
        found.append(partial(Subject, setting, None, given=True))
    return found + [partial(coded, name) for name in names]


def split_names(text: str) -> list[str]:
    """Codec names separated by commas; `name:key=value,key=value` stays one name."""
    found: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if "=" in part and ":" not in part and found:
            found[-1] += f",{part}"
        else:
            found.append(part)
    if not found:
        raise AudiotokError("no codec is named: expected e.g. --tokenizer wavtokenizer,opus-6k")
    return found


class Runner:
    """Brings subjects to results; its processes start when there is something to measure."""

    def __init__(
        self, setting: Setting, cache: Cache, reuse: str | None, stack: ExitStack,
        executor: str, address: str | None,
    ):  # fmt: skip
        self._setting, self._cache, self._reuse, self._stack = setting, cache, reuse, stack
        self._executor, self._address = executor, address

    @cached_property
    def _pool(self) -> Workers | RayWorkers:
        tasks = self._setting.tasks
        if self._executor == "ray":
            return self._stack.enter_context(RayWorkers(tasks, self._address))
        return self._stack.enter_context(Workers(tasks, self._setting.workers))

    def result(self, subject: Subject, wait: bool) -> Result | None:
        """Measured before or now; None where another process measures it, unless we `wait`."""
        note = self._setting.observer.note
        result, why = _finished(subject, self._reuse)
        if result is None:
            with _lock(subject, wait) as locked:
                if not locked:
                    return None
                if wait:  # the other process may be done with it
                    result, why = _finished(subject, self._reuse)
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
        """Measures what the journal lacks, then writes rows and summary."""
        note = self._setting.observer.note
        coder = Coder(subject, self._cache, self._reuse)
        journal = Journal(subject.folder, subject.plan)
        if self._reuse == FRESH and journal.entries:
            journal.remove()
            journal = Journal(subject.folder, subject.plan)
        try:
            seconds = _score_clips(subject, self._pool, journal, coder)
            _write(subject, journal, coder, seconds)
        except CodecError:
            journal.remove()  # what a codec won by cheating is not kept
            raise
        except BaseException:
            journal.close()
            raise
        journal.remove()
        note(f"{subject.name}: measured in {seconds:.0f} s, {subject.folder}")
        return results.read(subject.folder)


def _finished(subject: Subject, reuse: str | None) -> tuple[Result | None, str]:
    """The finished result, if it may be used, and a line that says why or why not."""
    if reuse == FRESH or (result := results.read(subject.folder)) is None:
        return None, ""
    rows, changed = subject.folder / "rows.parquet", ""
    if result.summary["plan"] != subject.plan:
        changed = differences(result.summary["plan"], subject.plan)
    if not rows.is_file() or results.sha256(rows) != result.summary["rows_sha256"]:
        return None, f"{result.codec}: measured again, for {rows} was changed"
    if result.run.get("clips_not_timed") and reuse is None:
        return None, f"{result.codec}: measured again, for its times were not taken"
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
) -> float:
    """Fills the journal; returns the seconds it took."""
    setting, start = subject.setting, time.perf_counter()
    clips, observer = setting.corpus.clips, setting.observer
    todo = [index for index in range(len(clips)) if index not in journal.entries]
    if len(todo) < len(clips):
        gone = f"{len(clips) - len(todo)} of {len(clips)} clips"
        observer.note(f"{subject.name}: goes on after {gone}")
    coded: dict[int, Coded] = {}  # under way

    def record(index: int, scored: Scored) -> None:
        score = coder.score(coded.pop(index), scored)
        entry = {"values": score.values, "failures": score.failures}
        journal.append({"index": index, "clip": clips[index].id} | entry)
        observer.progress(subject.name, len(journal.entries), len(clips))

    observer.progress(subject.name, len(journal.entries), len(clips))
    for index in todo:
        made = coded[index] = coder.code(index, clips[index])
        if made.content is not None:
            journal.tokens.add(index, made.content)
        job, made.job = made.job, None  # its sounds are not kept longer than they wait
        if job is None:
            record(index, Scored())
        else:
            pool.submit(index, job)
        for done in pool.finished():
            record(*done)
    for done in pool.finished(wait=True):
        record(*done)
    return time.perf_counter() - start


def _concluded(subject: Subject, journal: Journal, coder: Coder) -> list[dict[str, Any]]:
    """The entries of the journal, with what tasks conclude from all clips together."""
    corpus = subject.setting.corpus
    entries = [journal.entries[index] for index in sorted(journal.entries)]
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


def _write(subject: Subject, journal: Journal, coder: Coder, seconds: float) -> None:
    """rows, times, run, and last the summary: where it is and fits its rows, a run is finished."""
    setting, folder = subject.setting, subject.folder
    entries = _concluded(subject, journal, coder)
    timing = [task for task in setting.tasks if task.timing]
    scoring = [task for task in setting.tasks if not task.timing]
    seed = setting.suite.seed
    rows = summary.frame(subject.name, entries, scoring, others=timing)
    times = summary.frame(subject.name, entries, timing, others=scoring)
    rows_sha256 = results.write_rows(folder / "rows.parquet", rows)
    results.write_rows(folder / "times.parquet", times)
    plan = subject.plan
    content = {
        "schema": results.SCHEMA,
        "plan": plan,
        "suite": plan["suite"] | {"tasks": list(setting.suite.tasks)},
        "data": plan["data"],
        "codec": subject.about,
        "scores": summary.scores(entries, scoring, journal.tokens, seed),
        "details": summary.details(entries, scoring, journal.tokens),
        "failures": summary.failures(entries),
        "not_measured": setting.not_measured,
        "packages": provenance.packages(),
        "rows_sha256": rows_sha256,
    }
    results.write_json(folder / "run.json", {
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
        "summary_sha256": results.content_sha256(content),
    })  # fmt: skip
    results.write_json(folder / "summary.json", content)
