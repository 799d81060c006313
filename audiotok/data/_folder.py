"""Folders of sound: one with a manifest is read by it, of any other every sound file is a clip.

Transcripts in LibriSpeech's layout (`*.trans.txt` with lines 'SPEAKER-CHAPTER-NUMBER TEXT') give
texts and speakers to the files of these names, whose ids are then the names alone where only one
file has each.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from audiotok.data import Clip, Corpus, _ids, _manifest
from audiotok.errors import CorpusError

EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")
_UTTERANCE = re.compile(r"(\d+)-\d+-\d+")


def load(folder: Path, name: str | None = None) -> Corpus:
    """The corpus of a folder; clips without manifest are ordered by path, ids come from paths."""
    name = name or folder.absolute().name
    for extension in _manifest.FORMATS:
        if (manifest := folder / f"manifest{extension}").is_file():
            return _manifest.load(manifest, name)
    files = sorted(path for path in folder.rglob("*") if _is_sound(path, folder))
    if not files:
        raise CorpusError(
            f"{folder} holds no sound: neither manifest.tsv nor files {', '.join(EXTENSIONS)}"
        )
    ids = _ids.derive([path.relative_to(folder).as_posix() for path in files])
    texts = _transcripts(folder)
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


def _is_sound(path: Path, folder: Path) -> bool:
    """Hidden files and folders are none (._name.wav holds no sound)."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in EXTENSIONS and not hidden and path.is_file()


def _transcripts(folder: Path) -> dict[str, str]:
    """{utterance: text} of all *.trans.txt below `folder`."""
    texts = {}
    for path in sorted(folder.rglob("*.trans.txt")):
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
