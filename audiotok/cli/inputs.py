"""The input files of a command, and the output path for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from audiotok.errors import AudiotokError
from audiotok.sound import folders
from audiotok.system import outputs

SOUND = folders.SOUND
TOKENS = (".atok",)


def pairs(
    paths: Sequence[Path],
    out: str | Path,
    kinds: Sequence[str],
    accepted: Sequence[str],
    overwrite: bool = False,
) -> list[tuple[Path, Path]]:
    """(input, output) for each file; writes nothing.

    A single file goes to the file `out`; otherwise each goes into the folder `out`, files of an
    input folder with the same relative path. `out` is a folder if it exists as one, or ends in a
    slash.

    Args:
        paths: files, or folders, of which all files with an `accepted` suffix are used, also in
            subfolders; a warning names skipped files.
        out: file or folder.
        kinds: suffixes that an output may have; files in a folder get the first one.
        accepted: suffixes of inputs, e.g. (".atok",).
        overwrite: whether outputs that exist may be replaced; an input never is.

    Raises:
        AudiotokError: a missing input, or an output that would destroy a file.
    """
    for path in paths:
        if not path.exists():
            raise AudiotokError(f"{path} does not exist: expected a file or a folder")
        if not (path.is_file() or path.is_dir()):
            raise AudiotokError(
                f"{path} is a pipe, a device or a socket: expected a file or a folder"
            )
    sources: dict[Path, Path] = {}
    if len(paths) == 1 and paths[0].is_file() and not outputs.is_folder(out):
        if Path(out).suffix.lower() not in kinds:
            raise AudiotokError(
                f"cannot write {out}: expected a name that ends in {' or '.join(kinds)}, or a "
                f"folder, {out}/"
            )
        sources[Path(out)] = paths[0]
    else:
        folder = outputs.folder(out, "several inputs" if len(paths) > 1 else "the outputs")
        for path in paths:
            for source in [path] if path.is_file() else _files_in(path, accepted):
                relative = Path(path.name) if path.is_file() else source.relative_to(path)
                target = folder / relative.with_suffix(kinds[0])
                if target in sources:
                    raise AudiotokError(
                        f"{sources[target]} and {source} would both become {target}: rename one"
                    )
                sources[target] = source
    outputs.check(list(sources), sources.values(), overwrite)
    return [(source, target) for target, source in sources.items()]


def _files_in(folder: Path, accepted: Sequence[str]) -> list[Path]:
    listing = folders.find(folder, accepted, AudiotokError)
    kind = "sound" if accepted is SOUND else " or ".join(accepted)
    if not listing.files:
        raise AudiotokError(f"{folder} holds no {kind} files")
    listing.warn(folder, kind)
    return list(listing.files)
