"""Manifests of Lhotse: cuts, or recordings with their supervisions, as JSON lines, also gzipped.

Only plain files are read: a source that is a command, an address or in memory is refused, and so is
a cut of several tracks, channels or supervisions, or one that was changed (speed, volume).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiotok.data import Corpus, _ids, _jsonl, _manifest
from audiotok.errors import CorpusError

Found = tuple[int, dict[str, Any]]  # line and object


def of_folder(folder: Path, name: str) -> Corpus | None:
    """The corpus of a folder with cuts.jsonl or recordings.jsonl (or .gz); None of any other."""
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
    """The corpus of cuts; of recordings, or of their supervisions where these lie beside them."""
    found = list(_jsonl.objects(path))
    first = found[0][1] if found else {}
    if "sources" in first:
        supervisions = _beside(path, "recordings", "supervisions")
        if supervisions is None:
            keys = [one.get("id") for _, one in found]
            rows = [(line, _audio(path, line, one)) for line, one in found]
            return _corpus(path, rows, keys, name)
        recordings, path, found = (path, found), supervisions, list(_jsonl.objects(supervisions))
    elif "recording_id" in first:
        other = _beside(path, "supervisions", "recordings")
        if other is None:
            raise CorpusError(
                f"{path} has supervisions, whose recordings lie in a file named the same with "
                "'recordings' for 'supervisions': it is not there"
            )
        recordings = (other, list(_jsonl.objects(other)))
    else:
        rows = [(line, _cut(path, line, one)) for line, one in found]
        return _corpus(path, rows, [one.get("id") for _, one in found], name)
    by_id = {one.get("id"): _audio(recordings[0], line, one) for line, one in recordings[1]}
    rows = []
    for line, one in found:
        if one.get("recording_id") not in by_id:
            raise CorpusError(
                f"{path}, line {line}: no recording {one.get('recording_id')!r} in {recordings[0]}"
            )
        rows.append((line, by_id[one["recording_id"]] | _segment(path, line, one)))
        rows[-1][1].update(_supervision(path, line, one))
    return _corpus(path, rows, [one.get("id") for _, one in found], name)


def _beside(path: Path, word: str, other: str) -> Path | None:
    """The file whose name has `other` for `word`, also with or without .gz."""
    if word not in path.name:
        return None
    stem = path.name.replace(word, other).removesuffix(".gz")
    found = (path.with_name(stem + suffix) for suffix in ("", ".gz"))
    return next(filter(Path.is_file, found), None)


def _corpus(path: Path, rows: list, keys: list[Any], name: str | None) -> Corpus:
    ids = _ids.derive([f"{key}.wav" for key in keys])
    own = [(line, cells | {"id": one}) for (line, cells), one in zip(rows, ids, strict=True)]
    title = path.name.removesuffix(".gz").removesuffix(".jsonl")
    return _manifest.of_rows(path, own, name or title)


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
        or not all(isinstance(x, dict) for x in supervisions)
    ):
        raise CorpusError(
            f"{path}, line {line}: expected a cut with one supervision at most: "
            "`lhotse cut trim-to-supervisions` makes such"
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


def _segment(path: Path, line: int, one: dict[str, Any]) -> dict[str, str]:
    """Start and duration of a cut or supervision; nothing where it has none."""
    if one.get("channel") not in (None, 0, [0]):
        raise CorpusError(f"{path}, line {line}: channel {one['channel']}: expected channel 0")
    names = {"start": "offset", "duration": "duration"}
    return {ours: _jsonl.cell(path, line, k, one[k]) for k, ours in names.items() if k in one}


def _supervision(path: Path, line: int, supervision: dict[str, Any]) -> dict[str, str]:
    cells = {key: _jsonl.cell(path, line, key, supervision.get(key)) for key in ("text", "speaker")}
    return _manifest.filled(cells)
