"""Manifests: a table of clips as TSV, CSV or JSONL.

Columns: `audio` (a path relative to the manifest), and optionally `text`, `speaker`, `label`,
`language` (an ISO 639 code: en, pt-br), `session` (the recording that several clips were cut from
or made in), `reference` (a path), `codec` (the codec of this reconstruction), `prompt` (a path: a
recording of the voice to imitate), `domain` (speech, music or audio; other values are ignored),
`licence`, `id`, `split` (train, validation or test);
`offset` and `duration` (or `start` and `end`, all in seconds) if a clip is a segment of its file.
TSV is plain, without quoting; CSV quotes with "; JSONL has one object in each line. UTF-8. Columns
with other names are ignored; names that look like a misspelt column, or that would change which
sound is read, are refused. A `grammar.jsgf` in the folder of the manifest is the grammar of its
texts. JSONL with `audio_filepath` is a NeMo manifest. Absolute paths must be inside the manifest's
folder, or inside one of the folders in the environment variable AUDIOTOK_AUDIO_ROOTS. A link to a
file outside of these is followed only if AUDIOTOK_FOLLOW_LINKS=1 is set.
"""

from __future__ import annotations

import csv
import difflib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from audiotok.data import DOMAINS, Clip, Corpus, _ids, _jsonl, _segments
from audiotok.errors import CorpusError
from audiotok.system import names

COLUMNS = {  # name: meaning, for docs/manifests.md
    "audio": "path of the sound file, relative to the manifest; required",
    "text": "transcript",
    "speaker": "id of the speaker; intervals are over speakers if they are known",
    "label": "class of the sound, for the task probe_label",
    "language": "ISO 639 code: en, pt-br",
    "session": "the recording that several clips were cut from or made in; intervals are over "
    "sessions if no speaker is known; default for segments: their file",
    "reference": "path of the original, if the sound is a reconstruction",
    "codec": "codec of this reconstruction, for the suite samples",
    "domain": "speech, music or audio; metrics of speech are computed for speech only; any other "
    "value is ignored",
    "licence": "licence of the recording",
    "id": "name of the clip in results and of its files; default: from the path",
    "split": "train, validation or test",
    "prompt": "path of a recording of the voice that this clip imitates, for the suite tts",
}
SPLITS = ("train", "validation", "test")
FORMATS = (".tsv", ".csv", ".jsonl")
ROOTS = "AUDIOTOK_AUDIO_ROOTS"  # folders that absolute paths may be in
NEMO = {"audio": ("audio_filepath",), "language": ("lang",)}
GRAMMAR = "grammar.jsgf"
FOLLOW = "AUDIOTOK_FOLLOW_LINKS"
_SYNONYMS = {  # names of our columns in other manifests
    **dict.fromkeys(("path", "file", "filename", "wav", "audio_path", "audio_filepath"), "audio"),
    **dict.fromkeys(("transcript", "transcription", "sentence", "words"), "text"),
    **dict.fromkeys(("speaker_id", "spk", "spk_id", "client_id"), "speaker"),
    **dict.fromkeys(("original", "ref", "ground_truth"), "reference"),
    **dict.fromkeys(("lang", "locale", "lang_id"), "language"),
    "license": "licence",
}

Row = tuple[int, dict[str, str]]  # line number, cells
Synonyms = Mapping[str, Sequence[str]]


def load(path: Path, name: str | None = None) -> Corpus:
    """The corpus of a manifest; CorpusError with the line if it is invalid."""
    return of_rows(path, list(rows(path)), name)


def of_rows(path: Path, rows: list[Row], name: str | None = None) -> Corpus:
    """The corpus of rows read from `path`, in any format; file paths are relative to its folder."""
    if not rows:
        raise CorpusError(f"{path} lists no clips: at least one row is expected")
    segments = [_segments.parse(cells, _refusal(path, line)) for line, cells in rows]
    ids = _clip_ids(path, rows, segments)
    clips = tuple(
        _clip(path, line, cells, segment=segment, clip_id=clip_id)
        for (line, cells), segment, clip_id in zip(rows, segments, ids, strict=True)
    )
    grammar = path.parent / GRAMMAR
    if grammar.is_file():
        _check_links(path, grammar, lambda reason: CorpusError(f"{grammar} {reason}"))
    licences = sorted({clip.licence for clip in clips if clip.licence})
    default_name = path.stem if path.stem != "manifest" else path.absolute().parent.name
    return Corpus(
        name=name or default_name,
        clips=clips,
        grammar=str(grammar) if grammar.is_file() else None,
        licence="; ".join(licences) or None,
    )


def rows(path: Path, synonyms: Synonyms | None = None) -> Iterator[Row]:
    """Rows with their line numbers; cells are stripped, empty cells are omitted.

    Args:
        synonyms: for each of our columns its other accepted names; None: those of NeMo in JSONL.
    """
    try:
        if _jsonl.is_jsonl(path):
            for line, cells in _objects(path, NEMO if synonyms is None else synonyms):
                yield line, filled(cells)
            return
        with open(path, newline="", encoding="utf-8-sig") as file:
            for line, cells in _table(path, file, synonyms or {}):
                yield line, filled(cells)
    except UnicodeDecodeError as reason:
        raise CorpusError(f"{path} is not UTF-8 text: byte {reason.start} is not") from reason
    except OSError as reason:
        raise CorpusError(f"{path} cannot be read: {reason.strerror or reason}") from reason


def filled(cells: dict[str, str]) -> dict[str, str]:
    """The non-empty cells of known columns, stripped."""
    columns = (*COLUMNS, *_segments.COLUMNS)
    return {
        column: value.strip()
        for column, value in cells.items()
        if column in columns and value.strip()
    }


def _table(path: Path, file, synonyms: Synonyms) -> Iterator[Row]:
    options = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    if path.suffix.lower() == ".csv":
        options = {"strict": True}
    reader = csv.reader(file, **options)
    try:
        header = _canonical(path, next(reader, []), synonyms)
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


def _objects(path: Path, synonyms: Synonyms) -> Iterator[Row]:
    for line, fields in _jsonl.objects(path):
        names = _canonical(path, list(fields), synonyms, line)
        _check_columns(path, names, line)
        cells = dict(zip(names, fields.values(), strict=True))
        columns_read = (*COLUMNS, *_segments.COLUMNS)
        yield (
            line,
            {
                column: _jsonl.cell(path, line, column, value)
                for column, value in cells.items()
                if column in columns_read
            },
        )


def _canonical(path: Path, columns: list[str], synonyms_of: Synonyms, line: int = 1) -> list[str]:
    """The column names, with accepted synonyms replaced; CorpusError if two mean the same."""
    names = dict.fromkeys(columns)
    for column, synonyms in synonyms_of.items():
        matches = [name for name in synonyms if name in columns]
        if column not in columns and len(matches) > 1:
            raise CorpusError(
                f"{path}, line {line}: {' and '.join(matches)} could both be {column}: rename one "
                f"{column}"
            )
        if column not in columns and matches:
            names[matches[0]] = column
    return [names[name] or name for name in columns]


def _refusal(path: Path, line: int) -> Callable[[str], CorpusError]:
    return lambda reason: CorpusError(f"{path}, line {line} {reason}")


def _check_columns(path: Path, columns: list[str], line: int = 1) -> None:
    known_columns = (*COLUMNS, *_segments.COLUMNS)
    repeated = [name for name in known_columns if columns.count(name) > 1]
    if repeated:
        raise CorpusError(
            f"{path}, line {line}: the column {repeated[0]} is there twice: remove one"
        )
    for name in columns:
        normalised = name.strip().lower()
        similar = difflib.get_close_matches(normalised, COLUMNS, n=1, cutoff=0.8)
        suggestion = _SYNONYMS.get(normalised) or (similar[0] if similar else None)
        if normalised in _segments.REFUSED or (
            normalised in _segments.COLUMNS and name != normalised
        ):
            raise CorpusError(
                f"{path}, line {line}: the column {name!r} would change which sound is read: "
                "audiotok reads offset and duration, or start and end, in seconds; rename or "
                "remove it"
            )
        if name not in known_columns and suggestion is not None and suggestion not in columns:
            raise CorpusError(
                f"{path}, line {line}: unknown column {name!r}: rename it if it means "
                f"{suggestion!r}; audiotok reads {', '.join(COLUMNS)}"
            )
    if "audio" not in columns:
        where = "each object" if path.suffix.lower() == ".jsonl" else "the first line"
        found = ", ".join(name[:40] for name in columns[:10]) or "nothing"
        raise CorpusError(
            f"{path}, line {line}: the column 'audio' is missing (found: {found}); "
            f"expected it in {where}"
        )


def _clip_ids(path: Path, rows: list[Row], segments: list[_segments.Segment]) -> list[str]:
    """The given ids, else ids derived from paths (with the segment if a file has several clips).

    Raises CorpusError if an id is unsafe or not unique.
    """
    paths = [_split_root(path.parent, cells.get("audio", ""))[1] for _, cells in rows]
    counts = Counter(paths)
    derived = _ids.derive(
        [
            _segments.segment_path(audio, segment) if counts[audio] > 1 else audio
            for audio, segment in zip(paths, segments, strict=True)
        ]
    )
    ids, first_line = [], {}
    for (line, cells), derived_id in zip(rows, derived, strict=True):
        name = cells.get("id", derived_id)
        if (problem := names.problem(name)) is not None:
            raise CorpusError(
                f"{path}, line {line}: the id {name[:40]!r} is not safe as a file name "
                f"({problem}): expected up to {names.MAX_LENGTH} letters, digits and . _ -, first "
                "a letter or digit"
            )
        if (first := first_line.setdefault(names.key(name), line)) != line:
            column = "id" if "id" in cells else "audio"
            raise CorpusError(
                f"{path}, line {line}: {column} {cells[column]!r} was already in line {first}; "
                f"each clip needs its own, in a column 'id' if the audio is the same"
            )
        ids.append(name)
    return ids


def _clip(
    path: Path, line: int, cells: dict[str, str], *, segment: _segments.Segment, clip_id: str
) -> Clip:
    if "audio" not in cells:
        raise CorpusError(f"{path}, line {line}: audio is empty: expected a path")
    files = {
        column: _file(path, line, column, cells[column])
        for column in ("audio", "reference", "prompt")
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
    if (language := cells.get("language")) is not None:
        language = language.lower().replace("_", "-")
        if not re.fullmatch(r"[a-z]{2,3}(-[a-z0-9]{1,8})*", language):
            raise CorpusError(
                f"{path}, line {line}: language is {language[:40]!r}, expected a code of ISO 639 "
                "such as en, de or pt-br"
            )
    names = ("text", "speaker", "session", "label", "codec", "licence", "split")
    fields = {name: cells.get(name) for name in names}
    domain = cells.get("domain", "").lower()
    fields |= {"domain": domain if domain in DOMAINS else None, "language": language}
    fields |= {column: files.get(column) for column in ("reference", "prompt")}
    return Clip(id=clip_id, path=files["audio"], offset=offset, duration=duration, **fields)


def _file(path: Path, line: int, column: str, value: str) -> Path:
    """The file named in a cell, which must be in the manifest's folder."""

    def refusal(reason: str) -> CorpusError:
        return CorpusError(f"{path}, line {line}: {column} {value[:200]!r} {reason}")

    if value.startswith("|") or value.endswith("|"):
        raise refusal("is a command: audiotok runs none, give the path of a sound file")
    if "://" in value:
        raise refusal("is an address: download it, then give its path")
    if not value.isprintable():
        raise refusal("has unprintable characters: expected a path")
    base, normal = _split_root(path.parent, value)
    if PurePosixPath(normal).is_absolute() or PureWindowsPath(value).drive:
        raise refusal(
            "is an absolute path outside the manifest's folder: give it relative to that folder, "
            f"move the manifest up, or name a folder above the file in ${ROOTS}"
        )
    if normal.split(os.sep)[0] == os.pardir:
        raise refusal("leads out of the manifest's folder: move the manifest up, or the file in")
    file = base / normal
    try:
        exists = file.is_file()
    except OSError:  # a name too long for the system
        exists = False
    if not exists:
        raise refusal("does not exist or is not a file")
    _check_links(path, file, refusal)
    return file


def _split_root(folder: Path, value: str) -> tuple[Path, str]:
    """Splits a path into an allowed folder and the path relative to it.

    A relative path may be in `folder`, an absolute one also in ROOTS; if it is in none of them, the
    second part is absolute.
    """
    normal = os.path.normpath(value)
    if os.path.isabs(normal):
        for root in (folder.absolute(), *_roots()):
            if Path(normal).is_relative_to(root):
                return root, os.path.relpath(normal, root)
    return folder, normal


def _roots() -> list[Path]:
    return [Path(root).absolute() for root in os.environ.get(ROOTS, "").split(os.pathsep) if root]


def _check_links(path: Path, file: Path, refusal: Callable[[str], CorpusError]) -> None:
    """Refuses links to files outside of the folder. If the manifest itself is a link, files in
    the folder of its target are allowed too, as in the cache of the Hub."""
    allowed = (path.parent, Path(os.path.realpath(path)).parent)
    if not os.environ.get(FOLLOW) and names.leads_out(file, *allowed, *_roots()):
        raise refusal(
            f"is a link that leads out of the manifest's folder, to {os.path.realpath(file)}: set "
            f"{FOLLOW}=1 in the environment to follow it, or name the folder without a manifest"
        )
