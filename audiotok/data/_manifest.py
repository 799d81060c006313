"""Manifests: a table of clips as TSV, CSV or JSONL.

Columns: `audio` (a path relative to the manifest), and where known `text`, `speaker`, `label`,
`session` (what several clips were recorded in or cut from), `reference` (a path), `licence`, `id`,
`split` (train, validation or test); `offset` and `duration` (or `start` and `end`, all in seconds)
where a clip is a segment of its file. TSV is plain, without
quoting; CSV quotes with "; JSONL has one object in each line. UTF-8. Columns of other names are not
read; those that look like one of these misspelt, or would change what is read, are refused. A
`grammar.jsgf` beside the manifest is the closed grammar of its texts. JSONL with `audio_filepath`
is a manifest of NeMo, which names its columns so. Absolute paths must lie below the manifest's
folder, or below one of the folders in the environment variable AUDIOTOK_AUDIO_ROOTS. A link that
leads out of these is followed only where the user sets AUDIOTOK_FOLLOW_LINKS=1.
"""

from __future__ import annotations

import csv
import difflib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from audiotok.data import Clip, Corpus, _ids, _jsonl, _segments
from audiotok.errors import CorpusError
from audiotok.system import names

COLUMNS = ("audio", "text", "speaker", "session", "label", "reference", "licence", "id", "split")
SPLITS = ("train", "validation", "test")
FORMATS = (".tsv", ".csv", ".jsonl")
ROOTS = "AUDIOTOK_AUDIO_ROOTS"  # folders below which absolute paths may lie
NEMO = {"audio": ("audio_filepath",)}
GRAMMAR = "grammar.jsgf"
FOLLOW = "AUDIOTOK_FOLLOW_LINKS"
_OTHER_WORDS = {  # what others call our columns
    **dict.fromkeys(("path", "file", "filename", "wav", "audio_path", "audio_filepath"), "audio"),
    **dict.fromkeys(("transcript", "transcription", "sentence", "words"), "text"),
    **dict.fromkeys(("speaker_id", "spk", "spk_id", "client_id"), "speaker"),
    **dict.fromkeys(("original", "ref", "ground_truth"), "reference"),
    "license": "licence",
}

Row = tuple[int, dict[str, str]]  # line number, cells
Words = Mapping[str, Sequence[str]]


def load(path: Path, name: str | None = None) -> Corpus:
    """The corpus of a manifest; CorpusError names the line and what is wrong with it."""
    return of_rows(path, list(rows(path)), name)


def of_rows(path: Path, rows: list[Row], name: str | None = None) -> Corpus:
    """The corpus of the rows of `path`, whatever its format: paths are relative to its folder."""
    if not rows:
        raise CorpusError(f"{path} lists no clips: at least one row is expected")
    segments = [_segments.parse(cells, _refusal(path, line)) for line, cells in rows]
    ids = _clip_ids(path, rows, segments)
    clips = tuple(
        _clip(path, line, cells, segment, name)
        for (line, cells), segment, name in zip(rows, segments, ids, strict=True)
    )
    grammar = path.parent / GRAMMAR
    if grammar.is_file():
        _check_links(path, grammar, lambda why: CorpusError(f"{grammar} {why}"))
    licences = sorted({clip.licence for clip in clips if clip.licence})
    own = path.stem if path.stem != "manifest" else path.absolute().parent.name
    return Corpus(
        name=name or own,
        clips=clips,
        grammar=str(grammar) if grammar.is_file() else None,
        licence="; ".join(licences) or None,
    )


def rows(path: Path, words: Words | None = None) -> Iterator[Row]:
    """Rows with their line numbers; cells are stripped, empty ones left out.

    Args:
        words: of each column of ours the names that others give it; None: those of NeMo in JSONL.
    """
    try:
        if _jsonl.is_jsonl(path):
            for line, cells in _objects(path, NEMO if words is None else words):
                yield line, filled(cells)
            return
        with open(path, newline="", encoding="utf-8-sig") as file:
            for line, cells in _table(path, file, words or {}):
                yield line, filled(cells)
    except UnicodeDecodeError as reason:
        raise CorpusError(f"{path} is not UTF-8 text: byte {reason.start} is not") from reason
    except OSError as reason:
        raise CorpusError(f"{path} cannot be read: {reason.strerror or reason}") from reason


def filled(cells: dict[str, str]) -> dict[str, str]:
    """The cells that are read and not empty, stripped."""
    known = (*COLUMNS, *_segments.COLUMNS)
    return {k: v.strip() for k, v in cells.items() if k in known and v.strip()}


def _table(path: Path, file, words: Words) -> Iterator[Row]:
    options = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    if path.suffix.lower() == ".csv":
        options = {"strict": True}
    reader = csv.reader(file, **options)
    try:
        header = _ours(path, next(reader, []), words)
        _check_columns(path, header)
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise CorpusError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, "
                    f"but the header names {len(header)} columns"
                )
            yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as reason:
        raise CorpusError(f"{path}, line {reader.line_num}: {reason}") from reason


def _objects(path: Path, words: Words) -> Iterator[Row]:
    for line, found in _jsonl.objects(path):
        names = _ours(path, list(found), words, line)
        _check_columns(path, names, line)
        cells = dict(zip(names, found.values(), strict=True))
        read = (*COLUMNS, *_segments.COLUMNS)
        yield line, {k: _jsonl.cell(path, line, k, v) for k, v in cells.items() if k in read}


def _ours(path: Path, columns: list[str], words: Words, line: int = 1) -> list[str]:
    """The columns by our names; CorpusError where two could be the same."""
    names = dict.fromkeys(columns)
    for own, others in words.items():
        found = [name for name in others if name in columns]
        if own not in columns and len(found) > 1:
            raise CorpusError(
                f"{path}, line {line}: {' and '.join(found)} could both be {own}: rename one {own}"
            )
        if own not in columns and found:
            names[found[0]] = own
    return [names[name] or name for name in columns]


def _refusal(path: Path, line: int) -> Callable[[str], CorpusError]:
    return lambda why: CorpusError(f"{path}, line {line} {why}")


def _check_columns(path: Path, columns: list[str], line: int = 1) -> None:
    known = (*COLUMNS, *_segments.COLUMNS)
    twice = [name for name in known if columns.count(name) > 1]
    if twice:
        raise CorpusError(f"{path}, line {line}: the column {twice[0]} is there twice")
    for name in columns:
        plain = name.strip().lower()
        close = difflib.get_close_matches(plain, COLUMNS, n=1, cutoff=0.8)
        meant = _OTHER_WORDS.get(plain) or (close[0] if close else None)
        if plain in _segments.REFUSED or (plain in _segments.COLUMNS and name != plain):
            raise CorpusError(
                f"{path}, line {line}: the column {name!r} would change what is read: audiotok "
                "reads offset and duration, or start and end, in seconds; remove it otherwise"
            )
        if name not in known and meant is not None and meant not in columns:
            raise CorpusError(
                f"{path}, line {line}: unknown column {name!r}: name it {meant!r} if it is that; "
                f"audiotok reads {', '.join(COLUMNS)}"
            )
    if "audio" not in columns:
        found = ", ".join(name[:40] for name in columns[:10]) or "nothing"
        raise CorpusError(
            f"{path}, line {line}: the column 'audio' is missing (found: {found}); "
            f"{'each object' if path.suffix.lower() == '.jsonl' else 'the first line'} names it"
        )


def _clip_ids(path: Path, rows: list[Row], segments: list[_segments.Segment]) -> list[str]:
    """Given ids, else ids from the paths, with the segment where a file has several; each once."""
    paths = [_below(path.parent, cells.get("audio", ""))[1] for _, cells in rows]
    times = Counter(paths)
    derived = _ids.derive(
        [
            _segments.named(audio, segment) if times[audio] > 1 else audio
            for audio, segment in zip(paths, segments, strict=True)
        ]
    )
    ids, first_line = [], {}
    for (line, cells), own in zip(rows, derived, strict=True):
        name = cells.get("id", own)
        if (wrong := names.problem(name)) is not None:
            raise CorpusError(
                f"{path}, line {line}: the id {name[:40]!r} is not safe as a file name ({wrong}): "
                f"up to {names.MAX_LENGTH} letters, digits and . _ - are, a letter or digit first"
            )
        if (before := first_line.setdefault(names.key(name), line)) != line:
            what = "id" if "id" in cells else "audio"
            raise CorpusError(
                f"{path}, line {line}: {what} {cells[what]!r} was already in line {before}; "
                f"each clip needs its own, in a column 'id' if the audio is the same"
            )
        ids.append(name)
    return ids


def _clip(
    path: Path, line: int, cells: dict[str, str], segment: _segments.Segment, name: str
) -> Clip:
    if "audio" not in cells:
        raise CorpusError(f"{path}, line {line}: audio is empty: expected a path")
    files = {
        column: _file(path, line, column, cells[column])
        for column in ("audio", "reference")
        if column in cells
    }
    offset, duration = segment
    if "reference" in files and segment != (0.0, None):
        raise CorpusError(
            f"{path}, line {line}: a clip with a reference is a whole file, not a segment: cut "
            "both files"
        )
    if (split := cells.get("split")) is not None and split not in SPLITS:
        raise CorpusError(
            f"{path}, line {line}: split is {split[:40]!r}, expected {', '.join(SPLITS)}"
        )
    known = {k: cells.get(k) for k in ("text", "speaker", "session", "label", "licence", "split")}
    known |= {"offset": offset, "duration": duration, "reference": files.get("reference")}
    return Clip(id=name, path=files["audio"], **known)


def _file(path: Path, line: int, column: str, value: str) -> Path:
    """The file that a cell names, which must lie in the manifest's folder."""

    def refuse(why: str) -> CorpusError:
        return CorpusError(f"{path}, line {line}: {column} {value[:200]!r} {why}")

    if value.startswith("|") or value.endswith("|"):
        raise refuse("is a command: audiotok runs none, give the path of a sound file")
    if "://" in value:
        raise refuse("is an address: download it, then give its path")
    if not value.isprintable():
        raise refuse("has unprintable characters: expected a path")
    base, normal = _below(path.parent, value)
    if PurePosixPath(normal).is_absolute() or PureWindowsPath(value).drive:
        raise refuse(
            "is an absolute path outside the manifest's folder: give it relative to that folder, "
            f"move the manifest up, or name a folder above the file in ${ROOTS}"
        )
    if normal.split(os.sep)[0] == os.pardir:
        raise refuse("leads out of the manifest's folder: move the manifest up, or the file in")
    file = base / normal
    try:
        found = file.is_file()
    except OSError:  # a name too long for the system
        found = False
    if not found:
        raise refuse("does not exist or is not a file")
    _check_links(path, file, refuse)
    return file


def _below(folder: Path, value: str) -> tuple[Path, str]:
    """A path as the folder below which it may lie and the path from there.

    A relative path may lie below `folder`, an absolute one also below ROOTS; of one that lies below
    none of them the second is absolute.
    """
    normal = os.path.normpath(value)
    if os.path.isabs(normal):
        for root in (folder.absolute(), *_roots()):
            if Path(normal).is_relative_to(root):
                return root, os.path.relpath(normal, root)
    return folder, normal


def _roots() -> list[Path]:
    return [Path(root).absolute() for root in os.environ.get(ROOTS, "").split(os.pathsep) if root]


def _check_links(path: Path, file: Path, refuse: Callable[[str], CorpusError]) -> None:
    """A link in a data set may not give away other files of this machine. A manifest that is a link
    itself may name what lies beside its target, as in the cache of the Hub."""
    own = (path.parent, Path(os.path.realpath(path)).parent)
    if not os.environ.get(FOLLOW) and names.leads_out(file, *own, *_roots()):
        raise refuse(
            f"is a link that leads out of the manifest's folder, to {os.path.realpath(file)}: set "
            f"{FOLLOW}=1 in the environment to follow it, or name the folder without a manifest"
        )
