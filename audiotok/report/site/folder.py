"""The folder of a site, with a list of the written files: no other file is changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from audiotok.errors import ResultsError
from audiotok.system.files import make_folder, replacing

LIST = "site.json"  # {"written_by": ..., "files": {path in the site: sha256}}
LISTENING = "listening"  # the folder of `audiotok report`, which is not part of the list
DOCS = "docs"  # the folder of the documentation, which MkDocs writes
SEPARATE = (LISTENING, DOCS, "try")  # folders whose files are not in the list


def write(root: Path, content: Mapping[str, bytes]) -> list[Path]:
    """Writes the files of a site into `root`, and removes obsolete ones of an earlier site.

    Args:
        content: of all files, by their path in the site.

    Raises:
        ResultsError: the folder is not empty and not a site of ours; a file in it that we did not
            write has the name of a page; or it cannot be written.
    """
    old_hashes = check_target(root)
    for name in content:
        path = root / name
        if name not in old_hashes and path.exists() or path.is_symlink():
            raise ResultsError(
                f"{path} was not written by `audiotok leaderboard --site`: move it away, or name "
                "an empty folder"
            )
    new_hashes = {name: _sha256(page) for name, page in content.items()}
    make_folder(root)
    # The list comes first, so that a killed run leaves no unlisted file.
    _put(root / LIST, _list(old_hashes | new_hashes))
    for name, page in content.items():
        make_folder((root / name).parent)
        _put(root / name, page)
    for path in _obsolete(root, old_hashes, content):
        path.unlink()
    _put(root / LIST, _list(new_hashes))
    return [root / name for name in content]


def check_target(root: Path) -> dict[str, str]:
    """The list of the site in `root`, {} if there is none; ResultsError if the folder has other
    files."""
    hashes = _listed(root)
    if (
        hashes is None
        and root.is_dir()
        and any(path.name not in SEPARATE for path in root.iterdir())
    ):
        raise ResultsError(
            f"{root} is not empty, and not a site with its list {LIST}: name an empty folder"
        )
    return hashes or {}


def check(root: Path, content: Mapping[str, bytes]) -> list[Path]:
    """The files in `root` that differ from `content`, and those left from an earlier site."""
    listed = _list({name: _sha256(page) for name, page in content.items()})
    differing = [
        root / name
        for name, page in (*content.items(), (LIST, listed))
        if not (root / name).is_file() or (root / name).read_bytes() != page
    ]
    return differing + _obsolete(root, _listed(root) or {}, content)


def _obsolete(root: Path, old: Mapping[str, str], content: Mapping[str, bytes]) -> list[Path]:
    """Listed files that are unchanged since we wrote them, and no longer part of the site."""
    paths = [(root / name, digest) for name, digest in old.items() if name not in content]
    return [
        path for path, digest in paths if path.is_file() and digest == _sha256(path.read_bytes())
    ]


def _listed(root: Path) -> dict[str, str] | None:
    """The list in the folder; None if there is no valid one."""
    try:
        files = json.loads((root / LIST).read_bytes())["files"]
        names = [PurePosixPath(name) for name in files]
        if any(name.is_absolute() or ".." in name.parts for name in names):
            return None
        return {name: str(digest) for name, digest in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _list(files: Mapping[str, str]) -> bytes:
    content = {"written_by": "audiotok leaderboard --site", "files": dict(sorted(files.items()))}
    return (json.dumps(content, indent=1) + "\n").encode()


def _put(path: Path, data: bytes) -> None:
    if not path.is_file() or path.read_bytes() != data:
        with replacing(path, ResultsError) as file:
            file.write(data)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
