"""What was coded and scored is kept by its content: tokens, waveforms, scores of clips.

    <folder>/<kind>/<2 digits>/<sha256 of the key>

An entry is a line of JSON (its whole key, facts beside the content, hashes of both), then the
content. When it is read, all of it is compared with these hashes: what is torn, damaged or in
another's place is named in one line, removed, and made again. So nothing here has to be fsynced or
locked; the folder may be removed at any time. The hashes protect from accidents alone: whoever may
write here can write an entry with hashes that fit, and it is believed. Keep the folder yours, and
take --fresh where you do not trust it.

It lies at $AUDIOTOK_CACHE, else ~/.cache/audiotok/bench, and is kept below $AUDIOTOK_CACHE_BYTES
(10 GB; 0 keeps nothing): waveforms go first, the oldest before.
Other files in that folder are neither counted nor removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiotok.errors import ResultsError
from audiotok.results.identity import digest
from audiotok.system.files import cache_root, temporaries, temporary_path

KINDS = ("waveforms", "scores", "tokens")  # pruned in this order
BYTES = 10_000_000_000
_NAME = re.compile(r"[0-9a-f]{64}")
_BEGIN = b'{"key": {'
_STALE = 3600.0  # seconds after which a half-written entry was left by a killed process


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
        temporary = temporary_path(path.parent)
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
        """Removes entries that are over the limit, and old half-written ones; no other file."""
        self._added, total, files = 0, 0, []
        for order, kind in enumerate(KINDS):
            for folder in (self.folder / kind).glob("[0-9a-f][0-9a-f]"):
                half = temporaries(folder)
                for path in [*half, *folder.glob("*")]:
                    with suppress(OSError):  # another process may prune as well
                        found = path.lstat()
                        if path in half and time.time() - found.st_mtime > _STALE:
                            path.unlink()
                        elif _is_entry(path, found):
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


def _is_entry(path: Path, found: os.stat_result) -> bool:
    """Whether a file has the name of an entry and begins as `put` writes it: a user may keep files
    in a folder that he gave to the cache."""
    if not stat.S_ISREG(found.st_mode) or not _NAME.fullmatch(path.name):
        return False
    with open(path, "rb") as file:
        return path.name.startswith(path.parent.name) and file.read(len(_BEGIN)) == _BEGIN


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
    home = os.environ.get("AUDIOTOK_HOME") or cache_root() / "audiotok"
    folder = os.environ.get("AUDIOTOK_CACHE") or Path(home) / "bench"
    text = os.environ.get("AUDIOTOK_CACHE_BYTES") or str(BYTES)
    if not text.isdecimal():
        raise ResultsError(
            f"AUDIOTOK_CACHE_BYTES is {text!r}: expected a number of bytes such as {BYTES}"
        )
    return Cache(Path(folder).expanduser(), int(text), note)
