"""Results on disk: their folders, files, numbers and tables. Imports no torch.

    results/<suite>-v<version>/<data>-<its hash>[-first<N>][-<tasks>]/<codec>/
        rows.parquet    one row per clip: its speaker, and one column per metric (scores only)
        summary.json    means, intervals, failures, and all that the scores depend on
        times.parquet   seconds and real-time factors per clip
        run.json        summary of times; machine, date and command of the measurement
        run-<plan>/     only while measuring: journal.jsonl and the tokens of each clip

`names.part` turns names into folder names. rows.parquet and summary.json contain nothing that
changes when the same measurement is repeated.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audiotok.codec.licences import MARK, restricts
from audiotok.errors import ResultsError
from audiotok.results import contamination, speakers
from audiotok.results.schema import ROLES, read_json, read_rows
from audiotok.results.schema import SCHEMA as SCHEMA
from audiotok.results.shown import Shown
from audiotok.system import names
from audiotok.system.failures import was_transient
from audiotok.system.files import replacing

REFERENCE = "reference"  # the ceiling: the reference scored against itself
GIVEN = "given"  # reconstructions that are part of the corpus, with their references
FLOOR = "random"
MARKS = {"ceiling": " (ceiling)", "baseline": " °", "floor": " (floor)"}


@dataclass(frozen=True, repr=False)
class Result(Shown):
    """One codec on one corpus: the content of summary.json and run.json."""

    folder: Path
    summary: dict[str, Any]
    run: dict[str, Any]

    @property
    def codec(self) -> str:
        return self.summary["codec"]["name"]

    @property
    def role(self) -> str:
        """One of ROLES."""
        return self.summary["codec"]["role"]

    @property
    def restricted(self) -> bool:
        """Whether the licence of its weights restricts their use."""
        return restricts(self.summary["codec"].get("licence_weights"))

    @property
    def title(self) -> str:
        """The name with its marks, as tables show it."""
        return self.codec + MARKS.get(self.role, "") + (MARK if self.restricted else "")

    @property
    def contamination(self) -> str:
        """The mark of a codec that may have been trained on these clips, see `contamination`."""
        if self.role != "neural":
            return contamination.CLEAN
        trained_on = self.summary["codec"].get("training_data", ())
        return contamination.mark(trained_on, self.summary["data"]["name"])

    @property
    def marked_title(self) -> str:
        """The title with the mark of contamination, for tables that explain it below."""
        return f"{self.title} {self.contamination}".rstrip()

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """Columns of summary.json, then those of run.json; each has `mean` (None: missing), `ci95`,
        `interval` (its method), `n`, `failed`, and the `unit`, `digits`, `higher_is_better` and
        `task` of the column; `clips`, the number of all clips, and `not_applicable`, of those
        without a value or a failure."""
        clips = self.summary["data"]["clips"]
        all_scores = self.summary["scores"] | self.run["times"]
        return {
            name: score
            | {"clips": clips, "not_applicable": max(0, clips - score["n"] - score["failed"])}
            for name, score in all_scores.items()
        }

    @property
    def has_values(self) -> bool:
        """Whether any column has a value for any clip."""
        return any(score["n"] for score in self.scores.values())

    @property
    def is_empty(self) -> bool:
        """Whether a codec has no value in any column. The reference may have none."""
        return not self.has_values and self.role not in ("ceiling", "given")

    @property
    def is_complete(self) -> bool:
        """Whether all clips and all tasks of the suite were measured or are in `not_measured`."""
        measured = set(self.summary["plan"]["tasks"]) | set(self.summary["not_measured"])
        return self.summary["data"]["limit"] is None and measured >= set(
            self.summary["suite"]["tasks"]
        )

    @property
    def transient_failures(self) -> list[dict[str, Any]]:
        """Transient failures, such as a lack of memory: their clips are measured again."""
        return [failure for failure in self.summary["failures"] if was_transient(failure)]

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row per clip: `codec`, `clip`, `speaker` and `session` if known, the columns of
        scores, and texts."""
        return read_rows(self.folder / "rows.parquet", self.summary["scores"])

    @cached_property
    def times(self) -> pd.DataFrame:
        return read_rows(self.folder / "times.parquet", self.run["times"])

    @cached_property
    def clusters(self) -> pd.Series:
        """The label of each clip's cluster, by its id, see `speakers.labels`."""
        labels = speakers.labels(self.rows)
        return pd.Series(labels, index=pd.Index(self.rows["clip"]), dtype=object)

    @cached_property
    def rows_by_clip(self) -> pd.DataFrame:
        return self.rows.set_index("clip")

    @cached_property
    def times_by_clip(self) -> pd.DataFrame:
        return self.times.set_index("clip")


# --- folders ---------------------------------------------------------------------------------


def setting(suite: str, version: int, data: Mapping[str, Any], tasks: Sequence[str] = ()) -> Path:
    """Folder, below the results, of all codecs measured in the same way on the same clips.

    Args:
        data: "name", "sha256", "limit" (None: whole) of the corpus.
        tasks: the tasks measured, if they are not all of the suite.
    """
    return _setting(suite, version, data, tasks, names.part)


def setting_folder(
    root: Path, suite: str, version: int, data: Mapping[str, Any], tasks: Sequence[str] = ()
) -> Path:
    """`setting` below `root`; the folder of an earlier version if it exists under another name."""
    arguments = (suite, version, data, tasks)
    old_folder = root / _setting(*arguments, _old_part)
    stored = ((r.summary["suite"]["name"], r.summary["data"]["name"]) for r in _all_in(old_folder))
    return old_folder if (suite, data["name"]) in stored else root / setting(*arguments)


def codec_folder(setting: Path, codec: str) -> Path:
    """The folder of a codec in a setting; the folder of an earlier version if it exists."""
    folder = setting / _old_part(codec)
    result = read(folder)
    return folder if result is not None and result.codec == codec else setting / names.part(codec)


def expected_names(result: Result) -> tuple[set[str], set[str]]:
    """Possible names of the folder of a result, and of the beginning of its setting's path."""
    suite, data = result.summary["suite"], result.summary["data"]
    part_functions = (names.part, _old_part)
    paths = {_setting(suite["name"], suite["version"], data, (), part) for part in part_functions}
    return {part(result.codec) for part in part_functions}, {path.as_posix() for path in paths}


def _setting(
    suite: str,
    version: int,
    data: Mapping[str, Any],
    tasks: Sequence[str],
    part: Callable[[str], str],
) -> Path:
    name = f"{part(data['name'])}-{data['sha256'][:8]}"
    if data["limit"] is not None:
        name += f"-first{data['limit']}"
    name = "-".join([name, *map(part, tasks)])
    if len(name.encode()) > names.MAX_BYTES:
        name = names.part(name)
    return Path(f"{part(suite)}-v{version}") / name


def _old_part(name: str) -> str:
    """`names.part` of the first version, which could map two names to one folder."""
    return re.sub(r"[^A-Za-z0-9._=,-]", "+", name).lstrip(".")[:120] or "+"


def _all_in(setting: Path) -> Iterator[Result]:
    return filter(None, map(read, sorted(setting.glob("*/"))))


def read(folder: Path) -> Result | None:
    """The finished result in `folder`; None if there is none.

    Raises ResultsError if its files do not match `results.schema`.
    """
    try:
        return Result(folder, *(read_json(folder / name) for name in ("summary.json", "run.json")))
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_all(results: str | Path) -> list[Result]:
    """All finished results below a folder, in a fixed order."""
    root = Path(results)
    if not root.is_dir():
        raise ResultsError(f"{root} is not a folder: run `audiotok bench` first, or name another")
    read_results = (read(path.parent) for path in sorted(root.glob("*/*/*/summary.json")))
    return sorted(filter(None, read_results), key=lambda r: (r.folder.parent, *order(r)))


def order(result: Result) -> tuple[int, str]:
    """Sorts a table: ceiling, codecs, baselines, floor."""
    return ROLES.index(result.role), result.codec


# --- files -----------------------------------------------------------------------------------


def to_json(content: Any) -> bytes:
    """Sorted keys, six significant digits, one final newline: equal content gives equal bytes."""
    text = json.dumps(_rounded(content), sort_keys=True, indent=1, ensure_ascii=False)
    return (text + "\n").encode()


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def write_json(path: Path, content: Any) -> None:
    """Writes `to_json`, whole or not at all."""
    with replacing(path, ResultsError) as file:
        file.write(to_json(content))


def write_rows(path: Path, rows: pd.DataFrame) -> str:
    """Writes parquet, whole or not at all; returns the sha256 of the file."""
    with replacing(path, ResultsError) as file:
        rows.to_parquet(file, index=False)
    return sha256(path)


def content_sha256(content: Any) -> str:
    """Hex sha256 of the file that `write_json` would write."""
    return hashlib.sha256(to_json(content)).hexdigest()


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- tables ----------------------------------------------------------------------------------


def table(results: Iterable[Result]) -> pd.DataFrame:
    """One row per codec, one column per metric (means); what was not measured is NaN.

    The first columns are `role`, `clips` (of the corpus), `n` (the smallest n of the row) and
    `failed` (clips with any failure). `attrs["coverage"]` has, by codec and column, `n`, `failed`
    and `not_applicable`, which add up to all clips.
    """
    rows, counts = {}, {}
    for result in sorted(results, key=order):
        scores = result.scores
        rows[result.codec] = {
            "role": result.role,
            "clips": result.summary["data"]["clips"],
            "n": min((score["n"] for score in scores.values() if score["n"]), default=0),
            "failed": len({failure["clip"] for failure in result.summary["failures"]}),
        } | {name: score["mean"] for name, score in scores.items()}
        counts[result.codec] = {
            name: {key: score[key] for key in ("n", "failed", "not_applicable")}
            for name, score in scores.items()
        }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "codec"
    frame.attrs["coverage"] = counts
    return frame


def retry_message(result: Result) -> str | None:
    """One line if clips failed for a transient reason; None if none did."""
    if not (transient := result.transient_failures):
        return None
    clips = len({failure["clip"] for failure in transient})
    return (
        f"{result.codec}: {clips} of {result.summary['data']['clips']} clips could not be measured "
        f"for now, first {transient[0]['clip']}: {transient[0]['message']}; the same command tries "
        "them again"
    )


def columns(results: Iterable[Result]) -> dict[str, dict[str, Any]]:
    """{column: its unit, digits, higher_is_better, task, ...} of these results."""
    by_name: dict[str, dict[str, Any]] = {}
    for result in results:
        for name, score in result.scores.items():
            by_name.setdefault(name, score)
    return by_name


def cell(score: Mapping[str, Any] | None, interval: bool = False) -> str:
    """A number as tables show it, with its coverage if that is not all clips; a dash if it is
    missing."""
    if score is None:
        return "–"
    if score["mean"] is None:
        return "–" + coverage(score)
    digits = score["digits"]
    text = f"{score['mean']:.{digits}f}"
    if interval and score["ci95"]:
        text += f" [{score['ci95'][0]:.{digits}f}, {score['ci95'][1]:.{digits}f}]"
    return text + coverage(score)


def coverage(score: Mapping[str, Any]) -> str:
    """ " (4 of 6, 1 failed)": the coverage of a number; "" if it is all clips."""
    parts = []
    if score["mean"] is not None and score["n"] < score.get("clips", 0):
        parts.append(f"{score['n']} of {score['clips']}")
    if score["failed"]:
        parts.append(f"{score['failed']} failed")
    return f" ({', '.join(parts)})" if parts else ""


def arrow(column: Mapping[str, Any]) -> str:
    """↑ if higher is better, ↓ if lower is better, else nothing."""
    return {True: " ↑", False: " ↓", None: ""}[column["higher_is_better"]]


def by_setting(results: Iterable[Result]) -> Iterator[tuple[Path, list[Result]]]:
    """Groups of comparable results (of one setting); those of the suite `speech` come first."""
    groups: dict[Path, list[Result]] = {}
    for result in results:
        groups.setdefault(result.folder.parent, []).append(result)
    yield from sorted(groups.items(), key=lambda g: (g[0].parent.name[:8] != "speech-v", g[0]))


def refuse_mixed(group: Sequence[Result]) -> None:
    """Raises ResultsError if results of one setting were not measured in the same way, or two are
    of one codec.

    Suite, data, seed, and the versions of tasks, metrics and packages must be equal in all results
    that have them. The version of audiotok may differ: a change that moves a number gives its task
    or metric a new version.
    """
    first_values: dict[str, tuple[str, Result]] = {}
    codecs: dict[str, Result] = {}
    for result in group:
        if (other := codecs.setdefault(result.codec, result)) is not result:
            raise ResultsError(
                f"{other.folder} and {result.folder} are both of {result.codec}: remove one"
            )
        for key, value in _conditions(result.summary):
            other, first_result = first_values.setdefault(key, (value, result))
            if value != other:
                raise ResultsError(
                    f"{first_result.folder} and {result.folder} are mixed: {key} is {other} in the "
                    f"one and {value} in the other; remove the older one and measure it again"
                )


def _conditions(summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The conditions of a measurement: (name, version)."""
    plan = summary["plan"]
    if "seed" in plan:
        yield "seed", str(plan["seed"])
    yield "suite", f"{summary['suite']['name']} v{summary['suite']['version']}"
    yield "data", str(summary["data"]["sha256"])
    for task, versions in plan["tasks"].items():
        for name, version in versions.items() if isinstance(versions, Mapping) else ():
            yield f"{task} ({name})", f"v{version}" if isinstance(version, int) else str(version)
    for package, version in summary.get("packages", {}).items():
        if package != "python":
            yield package, version.partition("+")[0]  # 2.11.0+cpu is 2.11.0
