"""Files of weights from a plain address on the web, checked by sha256 before they are kept."""

from __future__ import annotations

import hashlib
import logging
import urllib.request
from pathlib import Path

from audiotok.errors import CheckpointError
from audiotok.system.files import make_folder, replacing

log = logging.getLogger("audiotok")
_CHUNK = 2**20  # bytes
_MOST = 2**34  # bytes of one file
_TIMEOUT = 30.0  # seconds without an answer


def download(address: str, path: Path, sha256: str) -> None:
    """Write the file at `address` to `path`, if its sha256 is the one given.

    Raises:
        OSError: it cannot be reached, or the connection ended early.
        CheckpointError: it is another file, or `path` cannot be written.
    """
    log.warning("downloading %s", address)
    make_folder(path.parent)
    digest, size = hashlib.sha256(), 0
    with (
        urllib.request.urlopen(address, timeout=_TIMEOUT) as source,
        replacing(path, CheckpointError) as file,
    ):
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            if size > _MOST:
                raise CheckpointError(
                    f"{address} is larger than {_MOST} bytes: it is no checkpoint"
                )
            file.write(chunk)
        if digest.hexdigest() != sha256:
            raise CheckpointError(
                f"{address} has sha256 {digest.hexdigest()}, expected {sha256}: it is not the file "
                "that was tested, and was not kept; give the right one with --checkpoint"
            )
