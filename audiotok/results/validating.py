"""`audiotok validate`: whether results on disk are what `bench` writes, and fit together.

Errors: files that are missing or torn, another schema, rows of another hash, means and counts that
are not those of the rows, numbers out of their range, folders of another setting, mixed versions,
records of `audiotok verify` that are not whole. Warnings: a commit that is not known or had
changes, intervals of an earlier version, a run that is not finished, one network under two names.
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
from audiotok.results import counts, results, speakers, statistics, verified
from audiotok.results.results import Result
from audiotok.results.schema import read_json

if TYPE_CHECKING:
    from audiotok.tasks import Task

FILES = ("summary.json", "run.json", "rows.parquet", "times.parquet")
HALF = 0.500001  # of the last of the six digits that files hold
# Columns that have a range, by name; the first pattern that fits. Others may be any finite number.
RANGES: dict[str, tuple[float, float]] = {
    "stoi": (-1, 1),
    "estoi": (-1, 1),
    "pesq": (-0.5, 5),
    "polarity": (-1, 1),
    "correlation": (0, 1),
    "speaker_similarity*": (-1, 1),
    "speaker_identified*": (0, 1),
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
ROUNDING = 1e-6  # a cosine of 1.0000001 is no mistake


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with, or doubtful about, a folder."""

    folder: Path
    text: str
    error: bool = True

    def __str__(self) -> str:
        return f"{'error' if self.error else 'warning'}: {self.folder}: {self.text}"


def validate(
    root: str | Path, progress: Callable[[Path], None] = lambda folder: None
) -> tuple[int, list[Finding]]:
    """The number of results below a folder, and all that is wrong with them.

    Args:
        root: a folder of results, as `bench --out` writes it.
        progress: called with each folder before it is read.

    Raises ResultsError where `root` is not a folder or holds no results.
    """
    folders, records = _folders(Path(root)), verified.records(root)
    if not folders and not records:
        raise ResultsError(f"{root} holds no results: expected what `audiotok bench --out` writes")
    found = [Finding(path, text) for path in records if (text := verified.wrong(path))]
    settings: dict[Path, list[Result]] = {}
    for folder in folders:
        progress(folder)
        result = None
        for finding in _read(folder):
            if isinstance(finding, Result):
                result = finding
            else:
                found.append(finding)
        if result is not None:
            found += [Finding(folder, text) for text in _errors(result)]
            found += [Finding(folder, text, error=False) for text in _warnings(result)]
            settings.setdefault(folder.parent, []).append(result)
    for folder, group in settings.items():
        found += _group_findings(folder, group)
    return len(folders) + len(records), found


def read_true(root: str | Path) -> list[Result]:
    """All finished results below a folder; ResultsError where one was torn or edited."""
    found = results.read_all(root)
    for result in found:
        refuse_untrue(result)
    return found


def refuse_untrue(result: Result) -> None:
    """Raises ResultsError where a result was torn or edited, quickly."""
    if (reason := untrue(result)) is not None:
        raise ResultsError(f"{result.folder}: {reason}; `audiotok validate` says more")


def untrue(result: Result) -> str | None:
    """Quickly, what was lost or changed since it was measured: by files and hashes alone."""
    missing = [name for name in FILES if not (result.folder / name).is_file()]
    if missing:
        return f"{', '.join(missing)} missing: restore the folder or measure again"
    return next(_hashes(result), None)


def _folders(root: Path) -> list[Path]:
    """Folders of one codec: those with any file of a result, or the journal of a run."""
    if not root.is_dir():
        raise ResultsError(f"{root} is not a folder: expected what `audiotok bench --out` writes")
    return [
        folder
        for folder in sorted(root.glob("*-v*/*/*"))
        if any((folder / name).exists() for name in FILES) or any(folder.glob("run-*"))
    ]


# --- one result ------------------------------------------------------------------------------


def _read(folder: Path) -> Iterator[Finding | Result]:
    """The result in a folder; or what keeps it from being read."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if len(missing) == len(FILES):
        yield Finding(folder, "a run that is not finished: its command goes on", error=False)
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
        if line := results.to_try_again(result):
            yield f"is not finished: {line}"
        for frame, part in ((result.rows, "scores"), (result.times, "times")):
            yield from _rows(result, frame, part)
    except (KeyError, TypeError, AttributeError, ValueError) as reason:
        if isinstance(reason, KeyError):
            reason = f"{reason} is missing"
        yield f"does not have the structure of a result ({reason})"


def _identity(result: Result) -> Iterator[str]:
    """Whether the folder, the plan and the summary speak of the same thing."""
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
    if not any(f"{path}-".startswith(f"{one}-") for one in settings):  # tasks may stand behind it
        yield f"belongs into {min(settings)}, by its suite, data and limit"


def _hashes(result: Result) -> Iterator[str]:
    for name, expected in (
        ("rows.parquet", result.summary["rows_sha256"]),
        ("summary.json", result.run.get("summary_sha256")),  # older results have none
    ):
        found = results.sha256(result.folder / name)
        if expected is not None and found != expected:
            yield f"{name} was changed: its sha256 is {found[:12]}…, not {expected[:12]}…"


def _rows(result: Result, rows: pd.DataFrame, part: str) -> Iterator[str]:
    """Clips, counts, ranges, and means of the rows against the summary."""
    clips = result.summary["data"]["clips"]
    if len(rows) != clips or rows["clip"].nunique() != clips:
        yield f"{part}: {len(rows)} rows of {rows['clip'].nunique()} clips, expected {clips}"
    if set(rows["codec"]) - {result.codec}:
        yield f"{part}: rows of {', '.join(sorted(set(rows['codec'])))}, not of {result.codec}"
    scores = result.summary["scores"] if part == "scores" else result.run["times"]
    whole, known = _whole(result, rows, scores)
    labels = speakers.labels(rows)
    for name, score in scores.items():
        values = rows[name].dropna() if name in rows else pd.Series(dtype=float)
        yield from _counts(result, rows, name, score, known.get(score["task"]))
        yield from _range(name, score, values)
        if name in whole:
            if not _agrees([score["mean"]], [whole[name]]):
                yield f"{name}: {score['mean']} is not what its task makes of the rows"
        else:
            seed, strict = result.summary["plan"]["seed"], score["task"] in known
            clusters = [labels[place] for place in values.index]
            yield from _mean(name, score, values, clusters=clusters, seed=seed, strict=strict)


def _counts(
    result: Result, rows: pd.DataFrame, name: str, score: dict[str, Any], task: Task | None
) -> Iterator[str]:
    """n and failures of a column against the rows and the failures of the summary; of a number
    without values of clips, where its `task` is known here in the version that measured."""
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
        of = "a value" if basis == name else f"{basis}, which it is made of"
        yield f"{name}: n is {n}, but {expected} rows have {of}"
    failures = result.summary["failures"]
    expected = counts.failed(rows, failures, task=score["task"], column=name, basis=basis)
    if failed != expected:
        yield f"{name}: {failed} clips failed, but the failures are of {expected}"


def _range(name: str, score: dict[str, Any], values: pd.Series) -> Iterator[str]:
    fits = (limits for pattern, limits in RANGES.items() if fnmatch.fnmatchcase(name, pattern))
    low, high = next(fits, (-math.inf, math.inf))
    mean = [] if score["mean"] is None else [score["mean"]]
    for value in (values.min(), values.max(), *mean):  # intervals of t may reach beyond
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

    Where its task is not known here in that version (not `strict`), a number may also be one of the
    corpus, whose interval is another; so there only a mean beside the interval of a mean is judged.
    """
    true = statistics.mean_score(values, score["failed"], seed, clusters)
    if not len(values) or (score["ci95"] is None and true["ci95"] is not None):
        return  # a number of the corpus that needs more than its rows: the tokens
    fits = {"mean": _agrees([score["mean"]], [true["mean"]])}
    if "interval" in score:
        fits["ci95"] = _agrees(score["ci95"], true["ci95"])
    if strict or fits.get("ci95"):
        for what in (key for key, fit in fits.items() if not fit):
            yield f"{name}: {what} {score[what]} is not that of the rows, {true[what]}"


def _agrees(reported: Sequence[float] | None, computed: Sequence[float] | None) -> bool:
    """Whether the numbers in a file are the computed ones, rounded."""
    if reported is None or computed is None or None in reported or None in computed:
        return reported == computed
    return all(abs(t - x) <= HALF * _unit(t) for t, x in zip(reported, computed, strict=True))


def _unit(value: float) -> float:
    """One of the last digit that a file holds of this number."""
    return 10.0 ** (math.floor(math.log10(abs(value))) - 5) if value else 1e-12


def _whole(
    result: Result, rows: pd.DataFrame, scores: dict[str, Any]
) -> tuple[dict[str, float], dict[str, Task]]:
    """The numbers of the corpus that tasks make of these rows, and the tasks that are known here
    in the version that measured, by name."""
    from audiotok import tasks

    found: dict[str, float] = {}
    known: dict[str, Task] = {}
    for name in {score["task"] for score in scores.values()}:
        try:
            task = tasks.get(name)
        except AudiotokError:
            continue
        if result.summary["plan"]["tasks"].get(name, {}).get("task") == task.version:
            found |= task.summarise(rows, [])
            known[name] = task
    return found, known


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
    """Errors and warnings that results of one setting give together."""
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
