"""A content-addressed cache of tokens, waveforms and scores of clips.

    <folder>/<kind>/<2 digits>/<sha256 of the key>

An entry is a line of JSON (its key, facts about the content, hashes of both), then the content.
Reading an entry checks all of it against these hashes. An entry that is torn, damaged or misplaced
is reported in one line, removed, and computed again. So entries need no fsync and no lock, and the
folder may be removed at any time. The hashes protect against accidents only: anybody who can write
to the folder can write a valid entry. Use a folder of your own, and --fresh if you do not trust it.

The folder is $AUDIOTOK_CACHE, else ~/.cache/audiotok/bench. Its size is limited to
$AUDIOTOK_CACHE_BYTES (10 GB; 0 stores nothing): waveforms are removed first, oldest first.
Other files in the folder are neither counted nor removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiotok.errors import ResultsError
from audiotok.results.identity import digest
from audiotok.system.files import cache_root, temporaries, temporary_path

KINDS = ("waveforms", "scores", "tokens")  # pruned in this order
BYTES = 10_000_000_000
_PART = "[0-9a-f][0-9a-f]"
_NAME = re.compile(r"[0-9a-f]{64}")
_BEGIN = b'{"key": {'
_STALE = 3600.0  # seconds; older temporary files are from killed processes


@dataclass(frozen=True)
class Entry:
    """The content stored under a key."""

    content: bytes
    about: dict[str, Any]
    sha256: str  # of the content


class Cache:
    """Entries in `folder`; see the top of this file.

    Args:
        note: called with one line for each invalid entry, and once for a folder that cannot be
            written.
    """

    def __init__(self, folder: Path, limit: int, note: Callable[[str], None]):
        self.folder, self.limit, self._note = folder, limit, note
        self._writes = limit > 0
        self._added = 0  # bytes since the last prune

    def get(self, kind: str, key: Mapping[str, Any]) -> Entry | None:
        """The entry of this key; None if there is none, or if it is invalid."""
        path = self._path(kind, key)
        try:
            head, _, content = path.read_bytes().partition(b"\n")
        except OSError:
            return None
        if (reason := _invalid_reason(head, key, content)) is not None:
            self._note(f"cache: {path} is ignored and computed again: {reason}")
            self.drop(kind, key)
            return None
        with suppress(OSError):
            os.utime(path)  # recently used entries are pruned last
        fields = json.loads(head)
        return Entry(content, fields["about"], fields["sha256"])

    def put(
        self, kind: str, key: Mapping[str, Any], content: bytes, about: Mapping[str, Any] = {}
    ) -> None:
        """Store `content` under `key`. A full or read-only disk loses the entry, not the run."""
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
            self._note(f"cache: cannot write {path} ({text}): nothing more is cached in this run")
            return
        self._added += len(data)
        if self._added > self.limit // 10:
            self.prune()

    def drop(self, kind: str, key: Mapping[str, Any]) -> None:
        with suppress(OSError):
            self._path(kind, key).unlink()

    def close(self) -> None:
        """Enforce the size limit at the end of a run."""
        if self._added:
            self.prune()

    def prune(self) -> None:
        """Remove entries beyond the limit and old temporary files, but no other file."""
        self._added = 0
        for path in self._folders():
            for temporary in temporaries(path):
                with suppress(OSError):  # another process may prune as well
                    if time.time() - temporary.lstat().st_mtime > _STALE:
                        temporary.unlink()
        files = [
            (KINDS.index(kind), info.st_mtime, info.st_size, path)
            for kind, path, info in self._entries()
        ]
        total = sum(size for _, _, size, _ in files)
        for _, _, size, path in sorted(files):
            if total <= self.limit:
                return
            with suppress(OSError):
                path.unlink()
            total -= size

    def usage(self) -> dict[str, tuple[int, int]]:
        """{kind: (entries, bytes)}."""
        usage = {kind: [0, 0] for kind in KINDS}
        for kind, _, status in self._entries():
            usage[kind][0] += 1
            usage[kind][1] += status.st_size
        return {kind: (count, size) for kind, (count, size) in usage.items()}

    def foreign_files(self) -> list[Path]:
        """Files and folders in the cache folder that are not entries; their content is not read."""
        entries = {path for _, path, _ in self._entries()}
        entries |= {temporary for folder in self._folders() for temporary in temporaries(folder)}
        kinds = [self.folder / kind for kind in KINDS if (self.folder / kind).is_dir()]
        folders = [self.folder, *kinds, *self._folders()]
        return sorted(
            path
            for place in folders
            if place.is_dir()
            for path in place.iterdir()
            if path not in entries and path not in folders
        )

    def clear(self) -> int:
        """Remove all entries, old temporary files and empty folders, but no other file. Returns the
        number of entries removed."""
        removed = 0
        for _, path, _ in list(self._entries()):
            with suppress(OSError):
                path.unlink()
                removed += 1
        self.prune()
        for folder in [*self._folders(), *(self.folder / kind for kind in KINDS)]:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
        return removed

    def _folders(self) -> list[Path]:
        """The folders of entries; a link is not followed."""
        kinds = [self.folder / kind for kind in KINDS]
        folders = (path for kind in kinds if not kind.is_symlink() for path in kind.glob(_PART))
        return [path for path in folders if path.is_dir() and not path.is_symlink()]

    def _entries(self) -> Iterator[tuple[str, Path, os.stat_result]]:
        """Kind, path and status of each entry."""
        for folder in self._folders():
            for path in folder.glob("*"):
                with suppress(OSError):  # another process may remove it
                    info = path.lstat()
                    if _is_entry(path, info):
                        yield folder.parent.name, path, info

    def _path(self, kind: str, key: Mapping[str, Any]) -> Path:
        name = digest(key)
        return self.folder / kind / name[:2] / name


def _is_entry(path: Path, info: os.stat_result) -> bool:
    """Whether a file has the name of an entry and begins as `put` writes it: the folder may hold
    other files of the user."""
    if not stat.S_ISREG(info.st_mode) or not _NAME.fullmatch(path.name):
        return False
    with open(path, "rb") as file:
        return path.name.startswith(path.parent.name) and file.read(len(_BEGIN)) == _BEGIN


def _invalid_reason(head: bytes, key: Mapping[str, Any], content: bytes) -> str | None:
    """Why an entry is invalid; None if it is valid."""
    try:
        fields = json.loads(head)
        seal = fields.pop("seal")
        if digest(fields) != seal:
            return "its first line was changed"
        if digest(fields["key"]) != digest(key):
            return "it has another key"
        if hashlib.sha256(content).hexdigest() != fields["sha256"]:
            return "its content was changed or torn"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "its first line is not that of an entry"
    return None


def open_cache(note: Callable[[str], None]) -> Cache:
    """The cache in the folder and with the limit that the environment sets."""
    home = os.environ.get("AUDIOTOK_HOME") or cache_root() / "audiotok"
    folder = os.environ.get("AUDIOTOK_CACHE") or Path(home) / "bench"
    text = os.environ.get("AUDIOTOK_CACHE_BYTES") or str(BYTES)
    if not text.isdecimal():
        raise ResultsError(
            f"AUDIOTOK_CACHE_BYTES is {text!r}: expected a number of bytes such as {BYTES}"
        )
    return Cache(Path(folder).expanduser(), int(text), note)
