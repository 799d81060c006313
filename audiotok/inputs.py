"""Which files a command reads, and where it puts what it makes of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audiotok.errors import AudiotokError

SOUND = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff")


def pairs(
    paths: Sequence[Path], out: Path, suffix: str, accepted: Sequence[str]
) -> list[tuple[Path, Path]]:
    """(input, output) for each file.

    A single file goes to the file `out`, unless that is a folder; otherwise each goes into the
    folder `out`, with `suffix`, those out of an input folder under the same relative path.

    Args:
        paths: files, or folders whose files with an `accepted` suffix are taken, also deeper ones.
        out: file or folder.
        suffix: of the outputs, e.g. ".atok".
    """
    if len(paths) == 1 and paths[0].is_file() and not out.is_dir():
        return [(paths[0], out)]
    if out.is_file():
        raise AudiotokError(f"{out} is a file, but there are several inputs: name a folder")
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.exists():
            raise AudiotokError(f"{path} does not exist: expected a file or a folder")
        inside = [path] if path.is_file() else _below(path, accepted)
        for source in inside:
            relative = Path(path.name) if path.is_file() else source.relative_to(path)
            target = out / relative.with_suffix(suffix)
            if target in found:
                raise AudiotokError(
                    f"{found[target]} and {source} would both become {target}: rename one"
                )
            found[target] = source
    for target in found:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as reason:
            raise AudiotokError(f"cannot make the folder {target.parent}: {reason}") from reason
    return [(source, target) for target, source in found.items()]


def _below(folder: Path, accepted: Sequence[str]) -> list[Path]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in accepted)
    if not files:
        raise AudiotokError(f"{folder} holds no {' or '.join(accepted)} files")
    return files
