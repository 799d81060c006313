"""Bench: a plan, a run that survives crashes, rows, a summary. `audiotok.bench` is its function.

Per clip, in this process: read -> encode -> bytes -> decode. Beside it, worker processes score.
A plan says all that scores depend on; results of another plan are never mixed with it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pandas as pd
import torch

from audiotok import checkpoints, provenance, registry, results, summary
from audiotok.audio import Audio, read
from audiotok.data import Clip
from audiotok.errors import AudiotokError, ResultsError
from audiotok.journal import Journal, differences
from audiotok.plan import Observer, Setting, Subject, make_setting
from audiotok.results import FLOOR, Result
from audiotok.suite import load_suite
from audiotok.tasks.speed import hardware
from audiotok.tokens import Tokens
from audiotok.workers import Failure, Job, Score, Workers, describe


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

    Returns:
        One row per codec (the reference itself first, random codes last), one column per metric:
        means over clips, or numbers of the whole corpus; NaN where nothing was measured.
    """
    found = run(tokenizer, data, suite, limit, tasks, out, device, checkpoint, workers, baselines)
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
    observer: Observer | None = None,
) -> list[Result]:
    """`bench`, but tells an observer, and returns the results themselves."""
    suite = load_suite(suite)
    typed = split_names(tokenizer) if isinstance(tokenizer, str) else list(tokenizer)
    if checkpoint is not None and len(typed) != 1:
        raise AudiotokError(
            f"--checkpoint is the weights of one codec, but {len(typed)} are named: "
            f"{', '.join(typed)}"
        )
    asked = [name for one in typed for name in registry.expand(one)]
    cards: dict[str, str] = {}  # full name -> name as typed
    for name in [*asked, *(suite.baselines if baselines else ()), FLOOR]:
        cards.setdefault(registry.find_card(name).name, name)
    for name in asked:  # weights that are missing are said before anything is measured
        checkpoints.resolve(registry.find_card(name), checkpoint)
    setting = make_setting(suite, data_name, limit, task_names, Path(out), workers, observer)

    found: list[Result] = []
    with ExitStack() as stack:
        pool = None
        for subject in _subjects(setting, list(cards.values()), asked, checkpoint, device):
            if (result := _reusable(subject)) is None:
                if pool is None:
                    stack.enter_context(_lock(setting.folder))
                    pool = stack.enter_context(Workers(setting.tasks, setting.workers))
                result = _measure(subject, pool)
            found.append(result)
    return sorted(found, key=results.order)


def _subjects(
    setting: Setting,
    names: Sequence[str],
    asked: Sequence[str],
    checkpoint: str | Path | None,
    device: str,
) -> Iterator[Subject]:
    """The rows of the table, one codec loaded at a time."""
    yield Subject(setting, None)
    if any(clip.reference for clip in setting.corpus):
        yield Subject(setting, None, given=True)
    for name in names:
        own = checkpoint if name in asked else None
        codec = registry.load(name, own, device, quiet=True)
        yield Subject(setting, codec, own_weights=own is not None)


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


def _reusable(subject: Subject) -> Result | None:
    """The finished result of the same plan; None, and a note, where it is of another."""
    result = results.read(subject.folder)
    if result is None:
        return None
    plan, rows = subject.plan, subject.folder / "rows.parquet"
    note = subject.setting.observer.note
    if result.summary["plan"] != plan:
        changed = differences(result.summary["plan"], plan)
        note(f"{result.codec}: measured again, for this changed: {changed}")
    elif not rows.is_file() or results.sha256(rows) != result.summary["rows_sha256"]:
        note(f"{result.codec}: measured again, for {rows} was changed")
    else:
        note(f"{result.codec}: measured before, {subject.folder}")
        return result
    return None


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Nobody else measures in `folder` meanwhile; released by the system if this process dies."""
    lock = filelock.FileLock(folder / ".lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise ResultsError(
            f"another audiotok is measuring into {folder}: wait until it is done, or give another "
            "folder with --out"
        ) from None
    except OSError as reason:
        raise ResultsError(
            f"cannot write into {folder}: {reason.strerror or reason}; give another folder with "
            "--out"
        ) from reason
    try:
        yield
    finally:
        lock.release()


def _measure(subject: Subject, pool: Workers) -> Result:
    """Measures what the journal lacks, then writes rows and summary."""
    journal = Journal(subject.folder, subject.plan)
    try:
        seconds = _score_clips(subject, pool, journal)
        _write(subject, journal, seconds)
    except BaseException:
        journal.close()
        raise
    journal.remove()
    subject.setting.observer.note(f"{subject.name}: measured in {seconds:.0f} s, {subject.folder}")
    return results.read(subject.folder)


def _score_clips(subject: Subject, pool: Workers, journal: Journal) -> float:
    """Fills the journal; returns the seconds it took."""
    setting, start = subject.setting, time.perf_counter()
    clips, observer = setting.corpus.clips, setting.observer
    todo = [index for index in range(len(clips)) if index not in journal.entries]
    if len(todo) < len(clips):
        gone = f"{len(clips) - len(todo)} of {len(clips)} clips"
        observer.note(f"{subject.name}: goes on after {gone}")

    def record(index: int, score: Score) -> None:
        journal.append({"index": index, "clip": clips[index].id} | vars(score))
        observer.progress(subject.name, len(journal.entries), len(clips))

    observer.progress(subject.name, len(journal.entries), len(clips))
    if todo and subject.codec is not None:
        _code(subject, clips[todo[0]])  # a network's first call takes longer
    for index in todo:
        coded = _code(subject, clips[index])
        if isinstance(coded, Score):
            record(index, coded)
            continue
        if coded.tokens is not None:
            journal.tokens.add(index, coded.tokens)
        for done in pool.finished(wait_for=index):
            record(*done)
        pool.submit(index, coded)
    for done in pool.rest():
        record(*done)
    return time.perf_counter() - start


def _code(subject: Subject, clip: Clip) -> Job | Score:
    """A clip through the codec, by way of bytes; or the failure, as a score without values."""
    codec, stage = subject.codec, "read"
    try:
        reference = read(clip.reference) if clip.reference else clip.read()
        if codec is None:
            sound = clip.read() if subject.given else reference
            return Job(clip, _array(reference), _array(sound))
        with torch.random.fork_rng([codec.device] if codec.device.type == "cuda" else []):
            torch.manual_seed(subject.setting.suite.seed)
            stage, start = "encode", time.perf_counter()
            tokens = codec.encode(reference)
            seconds = {"seconds_encode": time.perf_counter() - start}
            stage = "tokens"
            content = tokens.to_bytes()
            tokens = Tokens.from_bytes(content)
            stage, start = "decode", time.perf_counter()
            reconstruction = codec.decode(tokens, reference.sample_rate)
            seconds["seconds_decode"] = time.perf_counter() - start
            observed = _observed(subject, reference, tokens)
        arrays = _array(reference), _array(reconstruction)
        return Job(clip, *arrays, content, seconds, observed)
    except Exception as error:  # the guard around one clip: recorded, counted, never a number
        return Score({}, [{"stage": stage, "message": describe(error)}])


def _observed(subject: Subject, reference: Audio, tokens: Tokens) -> dict[str, Any]:
    """What tasks see of the codec at this clip, by task; one that fails leaves the others alone."""
    found: dict[str, Any] = {}
    for task in subject.setting.tasks:
        if task.observes:
            try:
                found[task.name] = task.observe(subject.codec, reference, tokens)
            except Exception as error:  # as around the clip
                found[task.name] = Failure(describe(error))
    return found


def _conclude(subject: Subject, journal: Journal) -> list[dict[str, Any]]:
    """The entries of the journal, with what tasks conclude from all clips together."""
    setting = subject.setting
    entries = [journal.entries[index] for index in sorted(journal.entries)]
    for task in setting.tasks:
        if not task.concludes:
            continue
        tokens = None
        if subject.codec is not None:
            tokens = [journal.tokens.of(index) for index in range(len(setting.corpus.clips))]
        note = lambda text: setting.observer.note(f"{subject.name}: {text}")  # noqa: E731
        more = task.conclude(setting.corpus, tokens, note)
        entries = [
            entry | {"values": entry["values"] | more.get(entry["index"], {})} for entry in entries
        ]
    return entries


def _array(audio: Audio) -> tuple[np.ndarray, int]:
    return audio.waveform.cpu().numpy(), audio.sample_rate


def _write(subject: Subject, journal: Journal, seconds: float) -> None:
    """rows, times, run, and last the summary: where it is and fits its rows, a run is finished."""
    setting, folder = subject.setting, subject.folder
    entries = _conclude(subject, journal)
    timing = [task for task in setting.tasks if task.timing]
    scoring = [task for task in setting.tasks if not task.timing]
    seed = setting.suite.seed
    rows = summary.frame(subject.name, entries, scoring, others=timing)
    times = summary.frame(subject.name, entries, timing, others=scoring)
    rows_sha256 = results.write_rows(folder / "rows.parquet", rows)
    results.write_rows(folder / "times.parquet", times)
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
    })  # fmt: skip
    plan = subject.plan
    results.write_json(folder / "summary.json", {
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
    })  # fmt: skip
