"""Data folders of Kaldi: wav.scp, and optionally segments, text, utt2spk and utt2lang.

Each line of wav.scp is an id and a path, relative to the folder; commands with a pipe are refused.
"""

from __future__ import annotations

from pathlib import Path

from audiotok.data import Corpus, _ids, _manifest
from audiotok.errors import CorpusError

_ANNOTATIONS = (("text", "text"), ("utt2spk", "speaker"), ("utt2lang", "language"))


def of_folder(folder: Path, name: str) -> Corpus | None:
    """The corpus of a folder with wav.scp; None for any other folder."""
    if not (scp := folder / "wav.scp").is_file():
        return None
    _refuse_channels(folder / "reco2file_and_channel")
    paths = {key: (line, rest) for line, key, rest in _lines(scp)}
    rows: dict[str, tuple[int, dict[str, str]]] = {}
    source = scp
    if (segments := folder / "segments").is_file():
        source = segments
        for line, key, rest in _lines(segments):
            recording, start, end = _segment_fields(segments, line, rest)
            if recording not in paths:
                raise CorpusError(
                    f"{segments}, line {line}: the recording {recording!r} is not in wav.scp"
                )
            end = {} if end == "-1" else {"end": end}  # -1: to the end
            rows[key] = (line, {"audio": paths[recording][1], "start": start} | end)
    else:
        rows = {key: (line, {"audio": path}) for key, (line, path) in paths.items()}
    for file, column in _ANNOTATIONS:
        if (path := folder / file).is_file():
            for line, key, rest in _lines(path):
                if key not in rows:
                    raise CorpusError(f"{path}, line {line}: {key!r} is not in {source.name}")
                rows[key][1][column] = rest
    ids = _ids.derive([f"{key}.wav" for key in rows])
    numbered_rows = [
        (line, _manifest.filled(cells | {"id": clip_id}))
        for (line, cells), clip_id in zip(rows.values(), ids, strict=True)
    ]
    return _manifest.of_rows(source, numbered_rows, name)


def _lines(path: Path) -> list[tuple[int, str, str]]:
    """(line, key, rest) of each line that is not empty; keys are unique."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as reason:
        raise CorpusError(f"{path} cannot be read as UTF-8 text: {reason}") from reason
    entries, seen = [], {}
    for line, text in enumerate(lines, start=1):
        if text.strip():
            key, *values = text.split(None, 1)
            if (first_line := seen.setdefault(key, line)) != line:
                raise CorpusError(f"{path}, line {line}: {key!r} was already in line {first_line}")
            entries.append((line, key, values[0].strip() if values else ""))
    return entries


def _segment_fields(path: Path, line: int, rest: str) -> list[str]:
    cells = rest.split()
    if len(cells) != 3:
        raise CorpusError(
            f"{path}, line {line}: expected UTTERANCE RECORDING START END, in seconds"
        )
    return cells


def _refuse_channels(path: Path) -> None:
    """Raises CorpusError if the file selects another channel than the first."""
    for line, _, rest in _lines(path) if path.is_file() else ():
        if rest.split()[-1:] not in (["A"], ["1"], ["0"]):
            raise CorpusError(
                f"{path}, line {line}: {rest[-40:]!r} chooses a channel, and audiotok mixes "
                "channels: write one file for each"
            )
