"""Manifests of Lhotse: cuts, or recordings with their supervisions, as JSON lines, also gzipped.

Only plain files are read: sources that are commands, addresses or in memory are refused, and so are
cuts of several tracks, channels or supervisions, and cuts with transforms (speed, volume).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiotok.data import Corpus, _ids, _jsonl, _manifest
from audiotok.errors import CorpusError

_ANNOTATIONS = ("text", "speaker", "language")


def of_folder(folder: Path, name: str) -> Corpus | None:
    """The corpus of a folder with cuts.jsonl or recordings.jsonl (or .gz); None for any other
    folder."""
    for stem in ("cuts", "recordings"):
        for suffix in (".jsonl", ".jsonl.gz"):
            if (path := folder / f"{stem}{suffix}").is_file() and is_lhotse(path):
                return load(path, name)
    return None


def is_lhotse(path: Path) -> bool:
    """Whether the first object has the keys of a recording, a supervision or a cut."""
    first = next(iter(_jsonl.objects(path)), (0, {}))[1]
    keys = {"sources", "recording_id", "recording", "tracks"} & first.keys()
    return bool(keys) and not {"audio", "audio_filepath", "file_name"} & first.keys()


def load(path: Path, name: str | None = None) -> Corpus:
    """The corpus of cuts, or of recordings, or of supervisions if their file is in the folder."""
    entries = list(_jsonl.objects(path))
    first = entries[0][1] if entries else {}
    if "sources" in first:
        supervisions = _counterpart(path, "recordings", "supervisions")
        if supervisions is None:
            keys = [entry.get("id") for _, entry in entries]
            rows = [(line, _audio(path, line, entry)) for line, entry in entries]
            return _corpus(path, rows, keys, name)
        recordings, path, entries = (
            (path, entries),
            supervisions,
            list(_jsonl.objects(supervisions)),
        )
    elif "recording_id" in first:
        recordings_path = _counterpart(path, "supervisions", "recordings")
        if recordings_path is None:
            raise CorpusError(
                f"{path} has supervisions, but the file of their recordings is missing: expected "
                "the same name with 'recordings' instead of 'supervisions'"
            )
        recordings = (recordings_path, list(_jsonl.objects(recordings_path)))
    else:
        rows = [(line, _cut(path, line, entry)) for line, entry in entries]
        return _corpus(path, rows, [entry.get("id") for _, entry in entries], name)
    by_id = {entry.get("id"): _audio(recordings[0], line, entry) for line, entry in recordings[1]}
    rows = []
    for line, entry in entries:
        if entry.get("recording_id") not in by_id:
            key = entry.get("recording_id")
            raise CorpusError(f"{path}, line {line}: no recording {key!r} in {recordings[0]}")
        rows.append((line, by_id[entry["recording_id"]] | _segment(path, line, entry)))
        rows[-1][1].update(_supervision(path, line, entry))
    return _corpus(path, rows, [entry.get("id") for _, entry in entries], name)


def _counterpart(path: Path, word: str, replacement: str) -> Path | None:
    """The file with `replacement` instead of `word` in its name, with or without .gz."""
    if word not in path.name:
        return None
    stem = path.name.replace(word, replacement).removesuffix(".gz")
    candidates = (path.with_name(stem + suffix) for suffix in ("", ".gz"))
    return next(filter(Path.is_file, candidates), None)


def _corpus(path: Path, rows: list, keys: list[Any], name: str | None) -> Corpus:
    ids = _ids.derive([f"{key}.wav" for key in keys])
    numbered_rows = [
        (line, cells | {"id": clip_id}) for (line, cells), clip_id in zip(rows, ids, strict=True)
    ]
    title = path.name.removesuffix(".gz").removesuffix(".jsonl")
    return _manifest.of_rows(path, numbered_rows, name or title)


def _cut(path: Path, line: int, cut: dict[str, Any]) -> dict[str, str]:
    if cut.get("type", "MonoCut") != "MonoCut" or not isinstance(cut.get("recording"), dict):
        raise CorpusError(
            f"{path}, line {line}: a cut of type {cut.get('type')!r}: expected a MonoCut with its "
            "recording"
        )
    supervisions = cut.get("supervisions") or []
    if (
        not isinstance(supervisions, list)
        or len(supervisions) > 1
        or not all(isinstance(entry, dict) for entry in supervisions)
    ):
        raise CorpusError(
            f"{path}, line {line}: expected a cut with one supervision at most: "
            "create such cuts with `lhotse cut trim-to-supervisions`"
        )
    cells = _audio(path, line, cut["recording"]) | _segment(path, line, cut)
    return cells | (_supervision(path, line, supervisions[0]) if supervisions else {})


def _audio(path: Path, line: int, recording: dict[str, Any]) -> dict[str, str]:
    """The file of a recording."""
    sources = recording.get("sources")
    if not (isinstance(sources, list) and len(sources) == 1 and isinstance(sources[0], dict)):
        raise CorpusError(f"{path}, line {line}: expected a recording with one source, a file")
    source = sources[0]
    if source.get("type") != "file" or not isinstance(source.get("source"), str):
        raise CorpusError(
            f"{path}, line {line}: a source of type {source.get('type')!r}: only files are read"
        )
    if recording.get("transforms"):
        raise CorpusError(f"{path}, line {line}: a recording with transforms: save its sound first")
    if source.get("channels") not in (None, [], [0]):
        raise CorpusError(
            f"{path}, line {line}: channels {source['channels']}: expected a file of one channel"
        )
    return {"audio": source["source"]}


def _segment(path: Path, line: int, cut: dict[str, Any]) -> dict[str, str]:
    """Start and duration of a cut or supervision, if it has them."""
    if cut.get("channel") not in (None, 0, [0]):
        raise CorpusError(f"{path}, line {line}: channel {cut['channel']}: expected channel 0")
    names = {"start": "offset", "duration": "duration"}
    return {
        column: _jsonl.cell(path, line, key, cut[key])
        for key, column in names.items()
        if key in cut
    }


def _supervision(path: Path, line: int, supervision: dict[str, Any]) -> dict[str, str]:
    cells = {key: _jsonl.cell(path, line, key, supervision.get(key)) for key in _ANNOTATIONS}
    return _manifest.filled(cells)
