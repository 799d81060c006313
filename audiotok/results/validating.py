"""`audiotok validate`: whether results on disk are what `bench` writes, and are consistent.

Errors: missing or damaged files, another schema, rows with another hash, means and counts that
differ from the rows, numbers out of range, folders of another setting, mixed versions, invalid
records of `audiotok verify`. Warnings: a commit that is unknown or has local changes, intervals of
an earlier version, a run that is not finished, one network with two names.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from audiotok.errors import AudiotokError, ResultsError
from audiotok.results import counts, results, shares, speakers, statistics, verified
from audiotok.results.results import Result
from audiotok.results.schema import read_json

if TYPE_CHECKING:
    from audiotok.tasks import Task

FILES = ("summary.json", "run.json", "rows.parquet", "times.parquet")
HALF = 0.500001  # of the unit of the sixth digit, to which numbers in files are rounded
# Ranges of columns that are not shares (`shares.is_share`: 0 to 1), by the first matching pattern.
# Other columns may be any finite number.
RANGES: dict[str, tuple[float, float]] = {
    "stoi": (-1, 1),
    "estoi": (-1, 1),
    "pesq": (-0.5, 5),
    "polarity": (-1, 1),
    "correlation": (0, 1),
    "speaker_similarity*": (-1, 1),
    "codebook_usage*": (0, 1),
    "perplexity*": (1, math.inf),
    "mel_distance*": (0, math.inf),
    "stft_distance*": (0, math.inf),
    "*wer*": (0, math.inf),
    "words*": (0, math.inf),
    "seconds_*": (0, math.inf),
    "rtf_*": (0, math.inf),
    "*bitrate": (0, math.inf),
    "token_rate": (0, math.inf),
}
ROUNDING = 1e-6  # a cosine of 1.0000001 is valid


@dataclass(frozen=True)
class Finding:
    """An error or a warning about a folder."""

    folder: Path
    text: str
    error: bool = True

    def __str__(self) -> str:
        return f"{'error' if self.error else 'warning'}: {self.folder}: {self.text}"


def validate(
    root: str | Path, progress: Callable[[Path], None] = lambda folder: None
) -> tuple[int, list[Finding]]:
    """The number of results below a folder, and all errors and warnings.

    Args:
        root: a folder of results, as `bench --out` writes it.
        progress: called with each folder before it is read.

    Raises ResultsError if `root` is not a folder or has no results.
    """
    folders, records = _folders(Path(root)), verified.records(root)
    if not folders and not records:
        raise ResultsError(f"{root} holds no results: expected what `audiotok bench --out` writes")
    findings = [Finding(path, text) for path in records if (text := verified.invalid_reason(path))]
    settings: dict[Path, list[Result]] = {}
    for folder in folders:
        progress(folder)
        result = None
        for finding in _read(folder):
            if isinstance(finding, Result):
                result = finding
            else:
                findings.append(finding)
        if result is not None:
            findings += [Finding(folder, text) for text in _errors(result)]
            findings += [Finding(folder, text, error=False) for text in _warnings(result)]
            settings.setdefault(folder.parent, []).append(result)
    for folder, group in settings.items():
        findings += _group_findings(folder, group)
    return len(folders) + len(records), findings


def read_checked(root: str | Path) -> list[Result]:
    """All finished results below a folder; ResultsError if one is damaged or edited."""
    all_results = results.read_all(root)
    for result in all_results:
        refuse_edited(result)
    return all_results


def refuse_edited(result: Result) -> None:
    """Raises ResultsError if a result is damaged or edited; checks only files and hashes."""
    if (reason := hash_error(result)) is not None:
        raise ResultsError(f"{result.folder}: {reason}; run `audiotok validate` for details")


def hash_error(result: Result) -> str | None:
    """The first missing or changed file of a result, by files and hashes alone; else None."""
    missing = [name for name in FILES if not (result.folder / name).is_file()]
    if missing:
        return f"{', '.join(missing)} missing: restore the folder or measure again"
    return next(_hashes(result), None)


def _folders(root: Path) -> list[Path]:
    """Folders of codecs: those with any file of a result, or with the journal of a run."""
    if not root.is_dir():
        raise ResultsError(f"{root} is not a folder: expected what `audiotok bench --out` writes")
    return [
        folder
        for folder in sorted(root.glob("*-v*/*/*"))
        if any((folder / name).exists() for name in FILES) or any(folder.glob("run-*"))
    ]


# --- one result ------------------------------------------------------------------------------


def _read(folder: Path) -> Iterator[Finding | Result]:
    """The result in a folder, or the findings that prevent reading it."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if len(missing) == len(FILES):
        yield Finding(
            folder, "a run that is not finished: the same command continues it", error=False
        )
        return
    if missing:
        yield Finding(folder, f"{', '.join(missing)} missing: restore the folder or measure again")
        return
    content: list[dict[str, Any]] = []
    for name in FILES[:2]:
        try:
            content.append(read_json(folder / name))
        except (ResultsError, OSError) as reason:
            yield Finding(folder, str(reason))
    if len(content) < 2:
        return
    result = Result(folder, *content)
    for name in FILES[2:]:
        try:
            result.rows if name == "rows.parquet" else result.times  # noqa: B018
        except ResultsError as reason:
            yield Finding(folder, str(reason))
            return
    yield result


def _errors(result: Result) -> Iterator[str]:
    """The errors of a result that can be read."""
    try:
        yield from _identity(result)
        yield from _hashes(result)
        if line := results.retry_message(result):
            yield f"is not finished: {line}"
        for frame, part in ((result.rows, "scores"), (result.times, "times")):
            yield from _rows(result, frame, part)
    except (KeyError, TypeError, AttributeError, ValueError) as reason:
        if isinstance(reason, KeyError):
            reason = f"{reason} is missing"
        yield f"does not have the structure of a result ({reason})"


def _identity(result: Result) -> Iterator[str]:
    """Whether the folder, the plan and the summary agree."""
    summary, plan = result.summary, result.summary["plan"]
    folders, settings = results.expected_names(result)
    if result.folder.name not in folders:
        yield f"holds {result.codec}: expected a folder {min(folders)}"
    if plan["codec"].get("name") != result.codec:
        yield f"the plan names the codec {plan['codec'].get('name')}, the summary {result.codec}"
    for key in ("fingerprint", "network_sha256"):
        if plan["codec"].get(key) != summary["codec"].get(key):
            yield f"{key} is not the same in the plan and in the summary"
    if plan["data"] != summary["data"]:
        yield "data is not the same in the plan and in the summary"
    path = "/".join(result.folder.parts[-3:-1])
    if not any(f"{path}-".startswith(f"{setting}-") for setting in settings):  # tasks may follow
        yield f"belongs into {min(settings)}, by its suite, data and limit"


def _hashes(result: Result) -> Iterator[str]:
    for name, expected in (
        ("rows.parquet", result.summary["rows_sha256"]),
        ("summary.json", result.run.get("summary_sha256")),  # older results have none
    ):
        actual = results.sha256(result.folder / name)
        if expected is not None and actual != expected:
            yield f"{name} was changed: its sha256 is {actual[:12]}…, not {expected[:12]}…"


def _rows(result: Result, rows: pd.DataFrame, part: str) -> Iterator[str]:
    """Clips, counts, ranges, and means of the rows against the summary."""
    clips = result.summary["data"]["clips"]
    if len(rows) != clips or rows["clip"].nunique() != clips:
        yield f"{part}: {len(rows)} rows of {rows['clip'].nunique()} clips, expected {clips}"
    if set(rows["codec"]) - {result.codec}:
        yield f"{part}: rows of {', '.join(sorted(set(rows['codec'])))}, not of {result.codec}"
    scores = result.summary["scores"] if part == "scores" else result.run["times"]
    corpus_numbers, known_tasks = _corpus_numbers(result, rows, scores)
    labels = speakers.labels(rows)
    for name, score in scores.items():
        values = rows[name].dropna() if name in rows else pd.Series(dtype=float)
        yield from _counts(result, rows, name, score=score, task=known_tasks.get(score["task"]))
        yield from _range(name, score, values)
        if name in corpus_numbers:
            if not _agree([score["mean"]], [corpus_numbers[name]]):
                yield f"{name}: {score['mean']} is not what its task computes from the rows"
        else:
            seed, strict = result.summary["plan"]["seed"], score["task"] in known_tasks
            clusters = [labels[index] for index in values.index]
            yield from _mean(name, score, values, clusters=clusters, seed=seed, strict=strict)


def _counts(
    result: Result, rows: pd.DataFrame, name: str, *, score: dict[str, Any], task: Task | None
) -> Iterator[str]:
    """n and failures of a column against the rows and the failures of the summary; a number without
    values of clips is checked only if this version has its `task` in the version that measured
    it."""
    clips, n, failed = result.summary["data"]["clips"], score["n"], score["failed"]
    if min(n, failed) < 0 or n + failed > clips:
        yield f"{name}: n {n}, failed {failed}, of {clips} clips"
    if (score["mean"] is None) != (n == 0):
        yield f"{name}: its mean is {score['mean']}, but n is {n}"
    basis = name if task is None else task.basis(name)
    if task is None and not counts.counted(rows, basis):
        return
    expected = 0 if score["mean"] is None else counts.counted(rows, basis)
    if n != expected:
        what = "a value" if basis == name else f"{basis}, which it is computed from"
        yield f"{name}: n is {n}, but {expected} rows have {what}"
    failures = result.summary["failures"]
    expected = counts.failed(rows, failures, task=score["task"], column=name, basis=basis)
    if failed != expected:
        yield f"{name}: {failed} clips failed, but the failures are of {expected}"


def _range(name: str, score: dict[str, Any], values: pd.Series) -> Iterator[str]:
    ranges = (limits for pattern, limits in RANGES.items() if fnmatch.fnmatchcase(name, pattern))
    low, high = (0, 1) if shares.is_share(name) else next(ranges, (-math.inf, math.inf))
    mean = [] if score["mean"] is None else [score["mean"]]
    for value in (values.min(), values.max(), *mean):  # t intervals may exceed the range
        if math.isinf(value) or value < low - ROUNDING or value > high + ROUNDING:
            yield f"{name}: {value:g} is out of its range, {low:g} to {high:g}"
            return


def _mean(
    name: str,
    score: dict[str, Any],
    values: pd.Series,
    *,
    clusters: Sequence[str | None],
    seed: int,
    strict: bool,
) -> Iterator[str]:
    """A mean over clips must be that of the rows, with its interval.

    If this version does not have its task in that version (not `strict`), the number may also be
    one of the whole corpus with another interval; then the mean is checked only if the interval is
    that of a mean.
    """
    computed = statistics.mean_score(values, score["failed"], seed, clusters)
    computed["ci95"] = shares.within(name, computed["ci95"])
    if not len(values) or (score["ci95"] is None and computed["ci95"] is not None):
        return  # a number of the corpus that needs the tokens too
    agree = {"mean": _agree([score["mean"]], [computed["mean"]])}
    if "interval" in score:
        agree["ci95"] = _agree(score["ci95"], computed["ci95"])
    if strict or agree.get("ci95"):
        for key in (key for key, agrees in agree.items() if not agrees):
            yield f"{name}: {key} {score[key]} is not that of the rows, {computed[key]}"


def _agree(reported: Sequence[float] | None, computed: Sequence[float] | None) -> bool:
    """Whether the numbers in a file are the computed ones, rounded to six digits."""
    if reported is None or computed is None or None in reported or None in computed:
        return reported == computed
    return all(
        abs(in_file - exact) <= HALF * _unit(in_file)
        for in_file, exact in zip(reported, computed, strict=True)
    )


def _unit(value: float) -> float:
    """The unit of the last of six digits of this number."""
    return 10.0 ** (math.floor(math.log10(abs(value))) - 5) if value else 1e-12


def _corpus_numbers(
    result: Result, rows: pd.DataFrame, scores: dict[str, Any]
) -> tuple[dict[str, float], dict[str, Task]]:
    """The numbers of the corpus that tasks compute from these rows, and {name: task} of the tasks
    whose version is the one that measured."""
    from audiotok import tasks

    corpus_numbers: dict[str, float] = {}
    known_tasks: dict[str, Task] = {}
    for name in {score["task"] for score in scores.values()}:
        try:
            task = tasks.get(name)
        except AudiotokError:
            continue
        if result.summary["plan"]["tasks"].get(name, {}).get("task") == task.version:
            corpus_numbers |= task.summarise(rows, [])
            known_tasks[name] = task
    return corpus_numbers, known_tasks


def _warnings(result: Result) -> Iterator[str]:
    git = result.run.get("git")
    if git is None:
        yield "which commit measured it is not known: it was not a checkout"
    elif git.get("dirty"):
        yield f"measured with changes to commit {str(git.get('commit'))[:12]}"
    if not any("interval" in score for score in result.scores.values()):
        yield "its intervals are over clips, as an earlier version made them: measure again"


# --- results together ------------------------------------------------------------------------


def _group_findings(folder: Path, group: Sequence[Result]) -> Iterator[Finding]:
    """Errors and warnings about the results of one setting together."""
    try:
        results.refuse_mixed(group)
    except ResultsError as reason:
        yield Finding(folder, str(reason))
    except (KeyError, TypeError, AttributeError):  # reported for the result itself
        return
    networks: dict[str, str] = {}
    for result in group:
        codec = result.summary["codec"]
        if not codec.get("network_sha256") or result.role == "floor" or codec.get("options"):
            continue
        other = networks.setdefault(codec["network_sha256"], result.codec)
        if other != result.codec:
            yield Finding(folder, f"{other} and {result.codec} are one network", error=False)
