"""Folders of sound: one with a manifest is read by it, of any other every sound file is a clip.

A manifest is, in this order: manifest.tsv, .csv or .jsonl; wav.scp (a data folder of Kaldi);
metadata.csv or metadata.jsonl with `file_name` (an AudioFolder of Hugging Face); cuts.jsonl or
recordings.jsonl, also with .gz (Lhotse).

Transcripts in LibriSpeech's layout (`*.trans.txt` with lines 'SPEAKER-CHAPTER-NUMBER TEXT') give
texts and speakers to the files of these names, whose ids are then the names alone where only one
file has each.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from audiotok.data import Clip, Corpus, _audiofolder, _ids, _kaldi, _lhotse, _manifest
from audiotok.errors import CorpusError
from audiotok.system.folders import files_below, left_out

log = logging.getLogger("audiotok")

EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")
_TRANSCRIPTS = ".trans.txt"
_UTTERANCE = re.compile(r"(\d+)-\d+-\d+")


def load(folder: Path, name: str | None = None) -> Corpus:
    """The corpus of a folder; clips without manifest are ordered by path, ids come from paths."""
    name = name or folder.absolute().name
    for extension in _manifest.FORMATS:
        if (manifest := folder / f"manifest{extension}").is_file():
            return _manifest.load(manifest, name)
    for layout in (_kaldi, _audiofolder, _lhotse):
        if (corpus := layout.of_folder(folder, name)) is not None:
            return corpus
    found = files_below(folder, CorpusError)
    files = [path for path in found if path.suffix.lower() in EXTENSIONS and path.is_file()]
    others = {path for path in found if not path.name.endswith(_TRANSCRIPTS)} - set(files)
    if text := left_out(folder, others, EXTENSIONS):
        log.warning("%s", text)
    if not files:
        raise CorpusError(
            f"{folder} holds no sound: neither manifest.tsv nor files {', '.join(EXTENSIONS)}"
        )
    ids = _ids.derive([path.relative_to(folder).as_posix() for path in files])
    texts = _transcripts(path for path in found if path.name.endswith(_TRANSCRIPTS))
    stems = Counter(file.stem for file in files)
    taken = set(ids)
    clips = []
    for file, clip_id in zip(files, ids, strict=True):
        utterance = file.stem
        if utterance not in texts:
            clips.append(Clip(clip_id, file))
            continue
        if stems[utterance] == 1 and utterance not in taken - {clip_id}:
            clip_id = utterance
        speaker = utterance.partition("-")[0]
        clips.append(Clip(clip_id, file, text=texts[utterance], speaker=speaker))
    return Corpus(name, tuple(clips))


def _transcripts(paths: Iterable[Path]) -> dict[str, str]:
    """{utterance: text} of these *.trans.txt files."""
    texts = {}
    for path in paths:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as reason:
            raise CorpusError(f"{path} cannot be read as UTF-8 text: {reason}") from reason
        for number, line in enumerate(lines, start=1):
            utterance, _, text = line.partition(" ")
            if not _UTTERANCE.fullmatch(utterance) or not text.strip():
                raise CorpusError(
                    f"{path}, line {number}: expected 'SPEAKER-CHAPTER-NUMBER TEXT', "
                    f"not {line[:40]!r}"
                )
            texts[utterance] = text.strip()
    return texts
