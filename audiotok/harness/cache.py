"""What was coded and scored is kept by its content: tokens, waveforms, scores of clips.

    <folder>/<kind>/<2 digits>/<sha256 of the key>

An entry is a line of JSON (its whole key, facts beside the content, hashes of both), then the
content. All of it is checked when it is read: what is torn, changed or in another's place is named
in one line, removed, and made again. So nothing here has to be fsynced, locked or trusted; the
folder may be removed at any time. It lies at $AUDIOTOK_CACHE, else ~/.cache/audiotok/bench, and is
kept below $AUDIOTOK_CACHE_BYTES (10 GB; 0 keeps nothing): waveforms go first, the oldest before.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import secrets
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from audiotok.errors import ResultsError

KINDS = ("waveforms", "scores", "tokens")  # pruned in this order
BYTES = 10_000_000_000
_PACKAGE = Path(__file__).parents[1]
_SOURCES = (".py", ".c", ".cpp", ".h")

# Parts of this package that change neither codes nor scores of a clip, ...
_SPEAKING = {"cli", "report", "testing", "harness/journal"}
CODING = _SPEAKING | {"metrics", "tasks", "judges", "results"}
CODING |= {"harness/workers", "harness/harness", "harness/summary"}
SCORING = _SPEAKING | {"codecs", "codec"}


@dataclass(frozen=True)
class Entry:
    """What was kept under a key."""

    content: bytes
    about: dict[str, Any]
    sha256: str  # of the content


class Cache:
    """Entries in `folder`; see the top of this file.

    Args:
        note: is told of entries that are not what they should be, and of a folder that cannot be
            written, once.
    """

    def __init__(self, folder: Path, limit: int, note: Callable[[str], None]):
        self.folder, self.limit, self._note = folder, limit, note
        self._writes = limit > 0
        self._added = 0  # bytes since the last look at the whole

    def get(self, kind: str, key: Mapping[str, Any]) -> Entry | None:
        """The entry of this key; None where there is none, or none that can be trusted."""
        path = self._path(kind, key)
        try:
            head, _, content = path.read_bytes().partition(b"\n")
        except OSError:
            return None
        if (wrong := _wrong(head, key, content)) is not None:
            self._note(f"cache: {path} is not used but made again, for {wrong}")
            self.drop(kind, key)
            return None
        with suppress(OSError):
            os.utime(path)  # used: not the next to be pruned
        found = json.loads(head)
        return Entry(content, found["about"], found["sha256"])

    def put(
        self, kind: str, key: Mapping[str, Any], content: bytes, about: Mapping[str, Any] = {}
    ) -> None:
        """Keeps `content` under `key`; a disk that is full or read-only costs the entry alone."""
        if not self._writes:
            return
        head = {"key": key, "about": about, "sha256": hashlib.sha256(content).hexdigest()}
        data = json.dumps(head | {"seal": digest(head)}).encode() + b"\n" + content
        path = self._path(kind, key)
        temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(data)
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as reason:
            self._writes = False
            text = reason.strerror or reason
            self._note(f"cache: cannot write {path} ({text}): nothing more is kept in this run")
            return
        self._added += len(data)
        if self._added > self.limit // 10:
            self.prune()

    def drop(self, kind: str, key: Mapping[str, Any]) -> None:
        with suppress(OSError):
            self._path(kind, key).unlink()

    def close(self) -> None:
        """At the end of a run: nothing needs it but the limit."""
        if self._added:
            self.prune()

    def prune(self) -> None:
        """Removes what is over the limit; with it, what other runs left half-written."""
        self._added, total, files = 0, 0, []
        for order, kind in enumerate(KINDS):
            for path in (self.folder / kind).glob("*/*"):
                with suppress(OSError):  # another process may prune as well
                    found = path.stat()
                    files.append((order, found.st_mtime, found.st_size, path))
                    total += found.st_size
        for _, _, size, path in sorted(files):
            if total <= self.limit:
                return
            with suppress(OSError):
                path.unlink()
            total -= size

    def _path(self, kind: str, key: Mapping[str, Any]) -> Path:
        name = digest(key)
        return self.folder / kind / name[:2] / name


def _wrong(head: bytes, key: Mapping[str, Any], content: bytes) -> str | None:
    """What does not fit in an entry; None where all does."""
    try:
        found = json.loads(head)
        seal = found.pop("seal")
        if digest(found) != seal:
            return "its first line was changed"
        if digest(found["key"]) != digest(key):
            return "it is of another key"
        if hashlib.sha256(content).hexdigest() != found["sha256"]:
            return "its content was changed or torn"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "its first line is no entry's"
    return None


def opened(note: Callable[[str], None]) -> Cache:
    """The cache that the environment names."""
    home = os.environ.get("AUDIOTOK_HOME") or Path.home() / ".cache" / "audiotok"
    folder = os.environ.get("AUDIOTOK_CACHE") or Path(home) / "bench"
    text = os.environ.get("AUDIOTOK_CACHE_BYTES") or str(BYTES)
    if not text.isdecimal():
        raise ResultsError(
            f"AUDIOTOK_CACHE_BYTES is {text!r}: expected a number of bytes such as {BYTES}"
        )
    return Cache(Path(folder).expanduser(), int(text), note)


def digest(content: Any) -> str:
    """Hex sha256 of what JSON can say."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def code_sha256(kind: type, but: Collection[str]) -> str:
    """Hex sha256 of the source of this package, without the parts `but`, and of what `kind` is
    written in, where that is another package or file. Where there is no source: never the same."""
    files = set()
    for base in kind.__mro__[:-1]:
        try:
            files.add(Path(inspect.getsourcefile(base)))
        except (TypeError, OSError):
            return secrets.token_hex(32)
    top = sys.modules.get(kind.__module__.partition(".")[0])
    for folder in getattr(top, "__path__", ()):
        files.update(Path(folder).rglob("*.py"))
    own = sorted(path for path in files if _PACKAGE not in path.parents)
    return digest([_file_sha256(path) for path in own] + [_package_sha256(frozenset(but))])


@cache
def _package_sha256(but: frozenset[str]) -> str:
    total = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        name = path.relative_to(_PACKAGE)
        parts = {part.as_posix() for part in (name.with_suffix(""), *name.parents)}
        if path.suffix in _SOURCES and not parts & but:
            total.update(f"{name.as_posix()} {_file_sha256(path)}".encode())
    return total.hexdigest()


def _file_sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
