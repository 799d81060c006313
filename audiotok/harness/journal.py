"""The journal of a run: its clips survive a crash, and are not measured again.

A folder `run-<plan>` with `journal.jsonl` (first line: the plan; then one line per clip, flushed to
the disk) and `tokens/<index>.atok`, written before the line of the clip. Each line has a checksum:
a damaged line, or damaged tokens, cost only that clip.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from audiotok.errors import AudiotokError, ResultsError
from audiotok.results.identity import differences
from audiotok.system.failures import was_transient
from audiotok.system.files import replacing, temporaries
from audiotok.tokens.tokens import Tokens

LONGEST = 2**26  # bytes of a line
_RUN = re.compile(r"run-[0-9a-f]{12}")


def plan_hash(plan: Mapping[str, Any]) -> str:
    """Hex sha256 of a plan."""
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


class Journal:
    """Opens the journal of `plan` in `folder`, new or with its earlier entries.

    Attributes:
        entries: {index of the clip: the argument of `append`, and whether it has tokens}.
        damaged: number of lines left out because they or their tokens are damaged.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any]):
        self.folder = folder / f"run-{plan_hash(plan)[:12]}"
        self.tokens = StoredTokens(self.folder / "tokens")
        self.path = self.folder / "journal.jsonl"
        self.entries: dict[int, dict[str, Any]] = {}
        self.damaged = 0
        try:
            self.tokens.folder.mkdir(parents=True, exist_ok=True)
            self._file = open(self.path, "a+b")  # noqa: SIM115 - closed by close
            self._restore(plan)
        except OSError as reason:
            raise _unwritable(self.path, reason) from reason

    def _restore(self, plan: Mapping[str, Any]) -> None:
        """Reads the valid lines; if some are damaged, writes the file again without them."""
        self._file.seek(0)
        valid_lines, has_plan = [], False
        for line in iter(lambda: self._file.readline(LONGEST), b""):
            content = _parsed(line)
            if content == plan:
                has_plan = True
                continue
            if content is not None and "index" not in content:
                raise ResultsError(
                    f"{self.path} belongs to another plan ({differences(content, plan)}): remove "
                    f"{self.folder} to measure anew"
                )
            if content is None or not self._is_intact(content):
                self.damaged += 1
                continue
            valid_lines.append(line)
            if not any(map(was_transient, content["failures"])):
                self.entries[content["index"]] = content
        if self.damaged or not has_plan:
            self._file.close()
            with replacing(self.path, ResultsError) as file:
                file.writelines([_line(plan), *valid_lines])
            self._file = open(self.path, "a+b")  # noqa: SIM115 - closed by close

    def _is_intact(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry has all fields of `append`, and its tokens are intact."""
        types = {"index": int, "values": dict, "failures": list, "tokens": bool}
        if any(type(entry.get(key)) is not expected for key, expected in types.items()):
            return False
        if not 0 <= entry["index"] < 10**9:
            return False
        try:
            return (self.tokens.of(entry["index"]) is not None) == entry["tokens"]
        except AudiotokError:
            return False

    def append(self, entry: Mapping[str, Any]) -> None:
        """Adds a clip; the line is on the disk when this returns.

        Args:
            entry: `index` and `clip`; `values`, `failures`. Add its tokens first.
        """
        entry = {**entry, "tokens": self.tokens.has(entry["index"])}
        self._write(entry)
        self.entries[entry["index"]] = entry

    def _write(self, content: Mapping[str, Any]) -> None:
        try:
            self._file.write(_line(content))
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
        """Removes this run, and other unfinished runs in the folder."""
        self.close()
        remove_unfinished(self.folder.parent)


def unfinished(folder: Path) -> list[Path]:
    """Files of killed runs, and of runs of other plans, in the folder of a codec."""
    runs = (path for path in folder.glob("run-*") if _RUN.fullmatch(path.name))
    return [*runs, *temporaries(folder)]


def other_runs(journal: Journal) -> Iterator[tuple[dict[str, Any], int]]:
    """Stopped runs of other identities in the same folder: (identity, clips measured)."""
    for path in sorted(journal.folder.parent.glob("run-*/journal.jsonl")):
        if path == journal.path:
            continue
        with suppress(OSError), open(path, "rb") as file:
            old_plan = _parsed(file.readline(LONGEST))
            clips = sum(1 for _ in iter(lambda file=file: file.readline(LONGEST), b""))
            if old_plan is not None and clips:
                yield old_plan, clips


def remove_unfinished(folder: Path) -> None:
    """Removes unfinished runs; call it only under the lock of the folder."""
    for path in unfinished(folder):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _line(content: Mapping[str, Any]) -> bytes:
    """An object as a line of the journal; its last key is the checksum of the others."""
    checksum = zlib.crc32(json.dumps(content, allow_nan=False).encode())
    return json.dumps({**content, "crc32": checksum}).encode() + b"\n"


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The object on a line; None if the line is damaged."""
    try:
        content = json.loads(line)
        if not isinstance(content, dict):
            return None
        del content["crc32"]
        return content if _line(content) == line else None
    except (KeyError, ValueError, RecursionError):
        return None


class StoredTokens(Sequence):
    """The tokens of the clips in a folder, in the order of their index; read lazily."""

    def __init__(self, folder: Path):
        self.folder = folder

    def add(self, index: int, content: bytes) -> None:
        """Writes the .atok file of the clip `index`."""
        with replacing(self._path(index), ResultsError) as file:
            file.write(content)

    def of(self, index: int) -> Tokens | None:
        """The tokens of the clip `index`; None if it has none."""
        return Tokens.load(self._path(index)) if self.has(index) else None

    def has(self, index: int) -> bool:
        """Whether the clip `index` has tokens."""
        return self._path(index).exists()

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
