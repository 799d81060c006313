"""The page that codes a visitor's own sound in the browser: nothing is sent.

The page is try.html, with the folder "try" beside it: the graphs of a bundled codec as ONNX, and
onnxruntime-web 1.18.0, the last version with a build for one thread (vendor/, MIT; see ORIGIN.md).
Browsers do not let a page that was opened from the disk read files, so this one, unlike the others,
needs a web server.

vendor/ comes along, so a site is built without a network. The folder "try" is written separately,
and `--check` does not compare it.
"""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from audiotok.errors import CodecError, ResultsError
from audiotok.system.files import make_folder, replacing

log = logging.getLogger("audiotok")
TRY = "try"  # the folder
CODEC = "rvq-small"  # bundled; any number of its codebooks can be heard
VENDOR = Path(__file__).parent / "vendor"
_WASM, _SCRIPT = "ort-wasm-simd.wasm", "ort.wasm-core.min.js"
_ABOUT = "codec.json"


def make(root: Path) -> Path | None:
    """Writes the folder "try" of the site `root`; returns its path, or None if it holds the
    graphs of this codec already, or if the package onnx is missing."""
    from audiotok.codec import onnx_graphs, registry

    folder, codec = root / TRY, registry.load(CODEC, device="cpu", quiet=True)
    if read(root) == onnx_graphs.about(codec, half=True):
        return None
    with TemporaryDirectory() as graphs:
        try:
            onnx_graphs.write(codec, graphs, half=True)
        except CodecError as reason:
            log.warning("the site gets no page %s.html: %s", TRY, reason)
            return None
        content = {name: (Path(graphs) / name).read_bytes() for name in onnx_graphs.GRAPHS}
        description = (Path(graphs) / onnx_graphs.ABOUT).read_bytes()
    files = {f"{name}.gz": gzip.compress(data, 9, mtime=0) for name, data in content.items()}
    for name in (_SCRIPT, f"{_WASM}.gz", "LICENSE"):
        files[name] = (VENDOR / name).read_bytes()
    files[_ABOUT] = description  # last: a folder with this file is complete
    make_folder(folder)
    if other_files := {path.name for path in folder.iterdir()} - files.keys():
        raise ResultsError(
            f"{folder} holds {min(other_files)}, which is not of this page: move it away"
        )
    for name, data in files.items():
        with replacing(folder / name, ResultsError) as file:
            file.write(data)
    return folder


def read(root: Path) -> dict[str, Any] | None:
    """The description of the codec of the page; None if the site has no complete folder "try"."""
    try:
        return json.loads((root / TRY / _ABOUT).read_bytes())
    except (OSError, ValueError):
        return None
