"""The journal of a run under way: what is in it survives a crash, and is not measured again.

A folder `run-<plan>` with `journal.jsonl` (first line: the plan; then one line per clip, flushed to
the disk) and `tokens/<index>.atok`, written before the line of the clip.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, with_config
from pydantic_core import from_json
from typing_extensions import TypedDict

from audiotok.errors import ResultsError
from audiotok.results.identity import differences
from audiotok.system.failures import was_transient
from audiotok.system.files import replacing, temporaries
from audiotok.tokens.tokens import Tokens

_RUN = re.compile(r"run-[0-9a-f]{12}")


@with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class _Entry(TypedDict):
    index: Annotated[int, Field(ge=0, lt=10**9)]
    clip: str
    values: dict[str, float | str]
    failures: NotRequired[list[dict[str, str | bool]]]


_ENTRY = TypeAdapter(_Entry)


def plan_hash(plan: Mapping[str, Any]) -> str:
    """Hex sha256 of a plan."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


class Journal:
    """Opens the journal of `plan` in `folder`, new or where it was left.

    Args:
        clips: ids of all clips of the run; an entry of another clip is dropped.
        numbers: names of the values that must be numbers; an entry with a text there is dropped.

    Attributes:
        entries: {index of the clip: what `append` was given}.
    """

    def __init__(
        self,
        folder: Path,
        plan: Mapping[str, Any],
        clips: Sequence[str] | None = None,
        numbers: Collection[str] = (),
    ):
        self._clips, self._numbers = clips, numbers
        self.folder = folder / f"run-{plan_hash(plan)[:12]}"
        self.tokens = StoredTokens(self.folder / "tokens")
        self.path = self.folder / "journal.jsonl"
        self.entries: dict[int, dict[str, Any]] = {}
        try:
            self.tokens.folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b")  # noqa: SIM115 - closed by close
            self._restore(plan)
        except OSError as reason:
            raise _unwritable(self.path, reason) from reason

    def _restore(self, plan: Mapping[str, Any]) -> None:
        """Reads the lines up to the first that is not whole (torn by a crash), drops the rest."""
        self._file.seek(0)
        kept = 0
        for number, line in enumerate(self._file):
            content = _parsed(line)
            if content is None or (number > 0 and not self._is_entry(content)):
                break
            if number > 0:
                if not any(map(was_transient, content.get("failures", ()))):
                    self.entries[content["index"]] = content
            elif content != plan:
                raise ResultsError(
                    f"{self.path} belongs to another plan ({differences(content, plan)}): remove "
                    f"{self.folder} to measure anew"
                )
            kept += len(line)
        self._file.truncate(kept)
        if kept == 0:
            self._write(plan)

    def _is_entry(self, content: dict[str, Any]) -> bool:
        try:
            entry = _ENTRY.validate_python(content)
        except ValueError:
            return False
        index, texts = entry["index"], {k for k, v in entry["values"].items() if type(v) is str}
        known = self._clips is None or self._clips[index : index + 1] == [entry["clip"]]
        return known and texts.isdisjoint(self._numbers)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Adds a clip; when this returns, the line is on the disk."""
        self._write(entry)
        self.entries[entry["index"]] = dict(entry)

    def _write(self, content: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(content, allow_nan=False).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as reason:
            raise _unwritable(self.path, reason) from reason

    def close(self) -> None:
        try:
            self._file.close()
        except OSError:  # a full disk was reported when the line was written
            self._file.raw.close()

    def remove(self) -> None:
        """Removes this run, and what else lies there unfinished."""
        self.close()
        sweep(self.folder.parent)


def unfinished(folder: Path) -> list[Path]:
    """What killed runs, and runs of other plans, left in the folder of a codec."""
    runs = (path for path in folder.glob("run-*") if _RUN.fullmatch(path.name))
    return [*runs, *temporaries(folder)]


def others(journal: Journal) -> Iterator[tuple[dict[str, Any], int]]:
    """Of the stopped runs of other identities in the same folder: identity, and clips measured."""
    for path in sorted(journal.folder.parent.glob("run-*/journal.jsonl")):
        lines = path.read_bytes().splitlines(keepends=True)
        if path != journal.path and len(lines) > 1 and (held := _parsed(lines[0])) is not None:
            yield held, len(lines) - 1


def sweep(folder: Path) -> None:
    """Removes what is unfinished there; only where nobody measures."""
    for path in unfinished(folder):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object on a line; None if the line is torn or damaged."""
    try:
        content = from_json(line, allow_inf_nan=False) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


class StoredTokens(Sequence):
    """The tokens of the clips in a folder, in the order of their index; read when asked for."""

    def __init__(self, folder: Path):
        self.folder = folder

    def add(self, index: int, content: bytes) -> None:
        """Writes the .atok file of the clip `index`."""
        with replacing(self._path(index), ResultsError) as file:
            file.write(content)

    def of(self, index: int) -> Tokens | None:
        """The tokens of the clip `index`; None where it has none."""
        path = self._path(index)
        return Tokens.load(path) if path.exists() else None

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:09d}.atok"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.atok"))

    def __len__(self) -> int:
        return len(self._paths())

    def __iter__(self) -> Iterator[Tokens]:
        return map(Tokens.load, self._paths())

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [Tokens.load(path) for path in self._paths()[index]]
        return Tokens.load(self._paths()[index])


def _unwritable(path: Path, reason: OSError) -> ResultsError:
    return ResultsError(
        f"cannot write {path}: {reason.strerror or reason}; make room or choose another --out: "
        "the same command goes on where it stopped"
    )
