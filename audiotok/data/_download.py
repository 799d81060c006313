"""Downloads of corpora: checked by sha256, unpacked safely, completely or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import warnings
import zlib
from pathlib import Path

from audiotok.errors import CorpusError
from audiotok.system.files import cache_root

MAX_FILES, MAX_BYTES = 1_000_000, 200 * 2**30  # of one archive, unpacked
_BLOCK = 2**20


def place(name: str) -> Path:
    """The folder of the corpus `name`: in $AUDIOTOK_DATA, else in audiotok/ in the user's cache
    folder; in $AUDIOTOK_CACHE, where earlier versions stored it, if it exists only there."""
    if data_folder := os.environ.get("AUDIOTOK_DATA"):
        return Path(data_folder).expanduser() / name
    folder = Path(os.environ.get("XDG_CACHE_HOME") or cache_root()) / "audiotok" / name
    cache = os.environ.get("AUDIOTOK_CACHE")
    if cache and not folder.exists() and (old_folder := Path(cache) / name).exists():
        warnings.warn(
            f"the corpus {name} is read from {old_folder}: AUDIOTOK_CACHE is now only the cache of "
            f"bench; set the folder of corpora with AUDIOTOK_DATA={cache}",
            FutureWarning,
            stacklevel=2,
        )
        return old_folder
    return folder


def fetch_archive(url: str, sha256: str, inner: str, target: Path) -> Path:
    """Downloads and unpacks the .tar.gz at `url`; its folder `inner` becomes the folder `target`.

    If `target` exists, nothing is done. An archive of the same name in the parent folder of
    `target`, put there by the user, is used instead of a download.
    """
    if target.is_dir():
        return target
    local = target.parent / url.rsplit("/", 1)[1]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as work:
            archive = local if local.is_file() else _download(url, Path(work) / "archive", local)
            _verify(archive, sha256)
            unpacked = Path(work) / "unpacked"
            _extract(archive, unpacked)
            if not (unpacked / inner).is_dir():
                raise CorpusError(f"{url} holds no folder {inner}: its layout has changed")
            os.replace(unpacked / inner, target)
    except OSError as reason:
        raise CorpusError(f"{target} cannot be written: {reason.strerror or reason}") from reason
    return target


def _download(url: str, path: Path, local: Path) -> Path:
    try:
        with urllib.request.urlopen(url, timeout=60) as response, open(path, "wb") as file:
            shutil.copyfileobj(response, file, _BLOCK)
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        TimeoutError,
        ConnectionError,
    ) as reason:
        raise CorpusError(
            f"{url} cannot be downloaded ({getattr(reason, 'reason', reason)}): "
            f"put that file at {local} and call again"
        ) from reason
    return path


def _verify(archive: Path, sha256: str) -> None:
    with open(archive, "rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != sha256:
        raise CorpusError(
            f"{archive.name} has sha256 {actual}, expected {sha256}: it is damaged or another "
            f"file; delete it and call again"
        )


def _extract(archive: Path, folder: Path) -> None:
    """Unpacks with tarfile's filter 'data': no absolute paths, no links or names leading out."""
    folder.mkdir()
    count = size = 0
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                count, size = count + 1, size + member.size
                if count > MAX_FILES or size > MAX_BYTES:
                    raise CorpusError(
                        f"{archive.name} unpacks to more than {MAX_FILES} files or "
                        f"{MAX_BYTES // 2**30} GiB: refused"
                    )
                tar.extract(member, folder, filter="data")
    except (tarfile.TarError, EOFError, zlib.error) as reason:
        raise CorpusError(f"{archive.name} cannot be unpacked: {reason}") from reason
