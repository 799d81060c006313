"""Manifests: a table of clips as TSV, CSV or JSONL.

Columns: `audio` (a path relative to the manifest), and where known `text`, `speaker`, `label`,
`reference` (a path), `licence`, `id`, `split` (train, validation or test). TSV is plain, without
quoting; CSV quotes with "; JSONL has one object in each line. UTF-8. Columns of other names are not
read, unless they look like one of these misspelt. A `grammar.jsgf` beside the manifest is the
closed grammar of its texts. Files lie in the manifest's folder or below; a link that leads out of
it is followed only where the user sets AUDIOTOK_FOLLOW_LINKS=1.
"""

from __future__ import annotations

import csv
import difflib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from audiotok.data import Clip, Corpus, _ids
from audiotok.errors import CorpusError
from audiotok.system import names

COLUMNS = ("audio", "text", "speaker", "label", "reference", "licence", "id", "split")
SPLITS = ("train", "validation", "test")
FORMATS = (".tsv", ".csv", ".jsonl")
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


def load(path: Path, name: str | None = None) -> Corpus:
    """The corpus of a manifest; CorpusError names the line and what is wrong with it."""
    rows = list(_rows(path))
    if not rows:
        raise CorpusError(f"{path} lists no clips: at least one row is expected")
    ids = _clip_ids(path, rows)
    clips = tuple(_clip(path, line, cells, i) for (line, cells), i in zip(rows, ids, strict=True))
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


def _rows(path: Path) -> Iterator[Row]:
    """Rows with their line numbers; cells are stripped, empty ones left out."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            read = _objects if path.suffix.lower() == ".jsonl" else _table
            for line, cells in read(path, file):
                yield line, {k: v.strip() for k, v in cells.items() if k in COLUMNS and v.strip()}
    except UnicodeDecodeError as reason:
        raise CorpusError(f"{path} is not UTF-8 text: byte {reason.start} is not") from reason
    except OSError as reason:
        raise CorpusError(f"{path} cannot be read: {reason.strerror or reason}") from reason


def _table(path: Path, file) -> Iterator[Row]:
    options = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    if path.suffix.lower() == ".csv":
        options = {"strict": True}
    reader = csv.reader(file, **options)
    try:
        header = next(reader, [])
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


def _objects(path: Path, file) -> Iterator[Row]:
    for line, text in enumerate(file, start=1):
        if not text.strip():
            continue
        try:
            cells = json.loads(text)
        except (ValueError, RecursionError) as reason:
            raise CorpusError(f"{path}, line {line} is not JSON: {reason}") from reason
        if not isinstance(cells, dict):
            raise CorpusError(f"{path}, line {line}: expected an object, not {text.strip()[:40]!r}")
        _check_columns(path, list(cells), line)
        for column, value in cells.items():
            if column in COLUMNS and not (value is None or isinstance(value, (str, int, float))):
                raise CorpusError(
                    f"{path}, line {line}: {column} is {json.dumps(value)[:40]}, expected a string"
                )
        yield line, {k: "" if v is None else str(v) for k, v in cells.items()}


def _check_columns(path: Path, columns: list[str], line: int = 1) -> None:
    twice = [name for name in COLUMNS if columns.count(name) > 1]
    if twice:
        raise CorpusError(f"{path}, line {line}: the column {twice[0]} is there twice")
    for name in columns:
        plain = name.strip().lower()
        close = difflib.get_close_matches(plain, COLUMNS, n=1, cutoff=0.8)
        meant = _OTHER_WORDS.get(plain) or (close[0] if close else None)
        if name not in COLUMNS and meant is not None and meant not in columns:
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


def _clip_ids(path: Path, rows: list[Row]) -> list[str]:
    """Given ids, else ids from the paths; each once."""
    derived = _ids.derive([os.path.normpath(cells.get("audio", "")) for _, cells in rows])
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


def _clip(path: Path, line: int, cells: dict[str, str], name: str) -> Clip:
    if "audio" not in cells:
        raise CorpusError(f"{path}, line {line}: audio is empty: expected a path")
    files = {
        column: _file(path, line, column, cells[column])
        for column in ("audio", "reference")
        if column in cells
    }
    if (split := cells.get("split")) is not None and split not in SPLITS:
        raise CorpusError(
            f"{path}, line {line}: split is {split[:40]!r}, expected {', '.join(SPLITS)}"
        )
    known = {k: cells.get(k) for k in ("text", "speaker", "label", "licence", "split")}
    return Clip(id=name, path=files["audio"], reference=files.get("reference"), **known)


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
    if PurePosixPath(value).is_absolute() or PureWindowsPath(value).drive:
        raise refuse("is an absolute path: give it relative to the manifest's folder")
    normal = os.path.normpath(value)
    if normal.split(os.sep)[0] == os.pardir:
        raise refuse("leads out of the manifest's folder: move the manifest up, or the file in")
    file = path.parent / normal
    try:
        found = file.is_file()
    except OSError:  # a name too long for the system
        found = False
    if not found:
        raise refuse("does not exist or is not a file")
    _check_links(path, file, refuse)
    return file


def _check_links(path: Path, file: Path, refuse: Callable[[str], CorpusError]) -> None:
    """A link in a data set may not give away other files of this machine. A manifest that is a link
    itself may name what lies beside its target, as in the cache of the Hub."""
    own = (path.parent, Path(os.path.realpath(path)).parent)
    if not os.environ.get(FOLLOW) and names.leads_out(file, *own):
        raise refuse(
            f"is a link that leads out of the manifest's folder, to {os.path.realpath(file)}: set "
            f"{FOLLOW}=1 in the environment to follow it, or name the folder without a manifest"
        )
