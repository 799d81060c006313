"""The files of a folder that a command processes, and those that it skips and names in a warning.

Hidden files and folders are ignored (._name.wav holds no sound).
"""

from __future__ import annotations

import logging
import mimetypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from audiotok.errors import AudiotokError
from audiotok.sound.containers import MEDIA_SUFFIXES, SUFFIXES, sniff

SOUND = (*SUFFIXES, *MEDIA_SUFFIXES)
_NAMED = 5  # skipped files that a message names
log = logging.getLogger("audiotok")


@dataclass(frozen=True)
class Listing:
    """Files below a folder, sorted.

    Attributes:
        files: to be processed.
        left_out: skipped: of another kind, broken links, links to folders, pipes, devices.
    """

    files: tuple[Path, ...]
    left_out: tuple[Path, ...]

    def warn(self, folder: Path, kind: str) -> None:
        """Log a warning that counts and names the skipped files, if there are any."""
        if count := len(self.left_out):
            names = [str(path.relative_to(folder)) for path in self.left_out[:_NAMED]]
            more = f" and {count - _NAMED} more" if count > _NAMED else ""
            files = "1 file is" if count == 1 else f"{count} files are"
            log.warning("%s: %s left out, no %s: %s%s", folder, files, kind, ", ".join(names), more)


def find(
    folder: Path, accepted: Sequence[str], error: type[AudiotokError], used: Sequence[str] = ()
) -> Listing:
    """All files below a folder.

    Args:
        accepted: suffixes, in lower case. For SOUND, files without a suffix or with an unknown one
            are opened, and their content decides.
        error: class of the error raised if a folder cannot be read.
        used: endings of file names that are read in another way, and so are not reported.
    """

    def refuse(reason: OSError) -> None:
        raise error(
            f"{reason.filename} cannot be read: {reason.strerror or reason}; allow it, or move it "
            "out of the folder"
        )

    files, left_out = [], []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in [*names, *links]:
            path = Path(parent, name)
            if is_kind(path, accepted):
                files.append(path)
            elif not name.startswith(".") and not name.endswith(tuple(used)):
                left_out.append(path)
    return Listing(tuple(sorted(files)), tuple(sorted(left_out)))


def is_kind(path: Path, accepted: Sequence[str]) -> bool:
    """Whether a file has an accepted suffix or, for SOUND, its content is sound."""
    if path.name.startswith(".") or not path.is_file():
        return False
    if path.suffix.lower() in accepted:
        return True
    if accepted is not SOUND or not _may_be_sound(path.name):
        return False
    try:
        return sniff(path) is not None
    except OSError:
        return False


def _may_be_sound(name: str) -> bool:
    """Whether the suffix is unknown or fits sound, unlike .txt or .jpg."""
    kind = mimetypes.guess_type(name)[0] or "audio"
    return kind.startswith(("audio", "video")) or kind == "application/octet-stream"
