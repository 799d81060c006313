"""`-` in place of a file: sound and tokens from stdin and to stdout.

A temporary file stands in for the stream, so that a long sound is read block by block, and nothing
is written to stdout before the work is done.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from audiotok.errors import AudiotokError
from audiotok.system import process

STREAM = "-"
_PREFIX = "audiotok-stream-"  # of temporary folders
_NAMES = {"in": "stdin", "out": "stdout"}


@contextmanager
def stdin_as_file(expected: str) -> Iterator[Path]:
    """A temporary file with all bytes of stdin.

    Args:
        expected: content of stdin, for messages, e.g. "a sound file".
    """
    if process.was_closed("stdin"):
        raise AudiotokError(f"stdin is closed: pipe {expected} into this command, or name a file")
    if sys.stdin.isatty():
        raise AudiotokError(
            f"stdin is a terminal: pipe {expected} into this command, `audiotok ... - < FILE`, or "
            "name a file"
        )
    with _folder() as folder:
        path = folder / "in"
        with open(path, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        if not path.stat().st_size:
            raise AudiotokError(f"stdin is empty: expected {expected}")
        yield path


@contextmanager
def stdout_as_file(suffix: str) -> Iterator[Path]:
    """The path of a temporary file that is copied to stdout if the block ends without an error."""
    if process.was_closed("stdout"):
        raise AudiotokError("stdout is closed: give the output a name, --out FILE")
    if sys.stdout.isatty():
        raise AudiotokError(
            f"stdout is a terminal, and {suffix} is no text: redirect it, `audiotok ... > "
            f"FILE{suffix}`, or give it a name, --out FILE{suffix}"
        )
    with _folder() as folder:
        path = folder / f"out{suffix}"
        yield path
        with open(path, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)


@contextmanager
def pairs(
    sources: Sequence[str | Path],
    out: str,
    *,
    suffix: str,
    expected: str,
    find: Callable[[Sequence[Path], str], list[tuple[Path, Path]]],
) -> Iterator[list[tuple[Path, Path]]]:
    """(input, output) for each file, where `-` is stdin or stdout.

    Args:
        sources: files and folders, or `-` alone.
        out: file or folder, or `-`, for one file.
        suffix: of the file that goes to stdout, e.g. ".atok".
        expected: content of stdin, for messages.
        find: gives the pairs of files, see `inputs.pairs`.
    """
    stdin_count = [str(source) for source in sources].count(STREAM)
    if stdin_count and len(sources) > 1:
        raise AudiotokError(f"- is stdin, one input alone: {len(sources)} inputs are given")
    if stdin_count and out != STREAM and (Path(out).is_dir() or out.endswith("/")):
        raise AudiotokError(f"{out} is a folder, and stdin has no name: name a file, or - (stdout)")
    if out == STREAM and (len(sources) > 1 or Path(sources[0]).is_dir()):
        raise AudiotokError("--out - is stdout, for one file: name a folder for several outputs")
    with ExitStack() as stack:
        paths = [Path(source) for source in sources]
        if out == STREAM:
            out = str(stack.enter_context(stdout_as_file(suffix)))
        if stdin_count:
            paths = [stack.enter_context(stdin_as_file(expected))]
            stack.enter_context(named(paths[0]))
        yield find(paths, out)


def name_of(path: Path) -> str:
    """The name of a path for messages: "stdin" or "stdout" for the file of a stream, else the
    path."""
    is_stream = path.parent.name.startswith(_PREFIX)
    return _NAMES[path.stem] if is_stream and path.stem in _NAMES else str(path)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder:
        yield Path(folder)


@contextmanager
def named(path: str | Path) -> Iterator[None]:
    """Errors in the block name the stream instead of its temporary file."""
    try:
        yield
    except AudiotokError as error:
        text = str(error)
        if str(path) not in text:
            raise
        raise AudiotokError(text.replace(str(path), name_of(Path(path)))) from error
