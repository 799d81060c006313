"""The files below a folder: all that can be found, and a line about those that are not used."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from audiotok.errors import AudiotokError


def files_below(folder: Path, error: type[AudiotokError]) -> list[Path]:
    """The files below a folder, sorted; without hidden ones, and not through linked folders.

    Args:
        error: what to raise where a folder cannot be read: its files are not left out silently.
    """

    def refuse(reason: OSError) -> None:
        raise error(
            f"{reason.filename} cannot be read ({reason.strerror}): make it readable, or move it "
            f"out of {folder}"
        ) from reason

    found = []
    for root, folders, names in os.walk(folder, onerror=refuse):
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(root, name) for name in [*names, *links] if not name.startswith(".")]
    return sorted(found)


def left_out(folder: Path, files: Collection[Path], used: Collection[str]) -> str | None:
    """A line that counts and names the files of a folder that are not used; None for none.

    Args:
        files: the ones that are left out.
        used: suffixes that are.
    """
    if not files:
        return None
    kinds = Counter(
        "linked folder" if path.is_dir() else path.suffix.lower() or "without suffix"
        for path in files
    )
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    first = min(files).relative_to(folder)
    return (
        f"{folder}: {len(files)} files are left out ({counted}; e.g. {first}): only "
        f"{', '.join(used)} are read"
    )
