"""Folders of sound: read by their manifest, or, without one, every sound file is a clip.

A manifest is, in this order: manifest.tsv, .csv or .jsonl; wav.scp (a data folder of Kaldi);
metadata.csv or metadata.jsonl with `file_name` (an AudioFolder of Hugging Face); cuts.jsonl or
recordings.jsonl, also with .gz (Lhotse). The layouts of ESC-50, FSD50K, GTZAN and MUSDB18-HQ are
known too: their folders have the labels and splits of the corpora of these names.

Transcripts in LibriSpeech's layout (`*.trans.txt` with lines 'SPEAKER-CHAPTER-NUMBER TEXT') give
texts and speakers to the files with these names. The id of such a file is its name, if no other
file has the same name.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from audiotok.data import (
    Clip,
    Corpus,
    _audiofolder,
    _ids,
    _kaldi,
    _lhotse,
    _manifest,
    esc50,
    fsd50k,
    gtzan,
    musdb,
)  # fmt: skip
from audiotok.errors import CorpusError
from audiotok.sound import folders

_UTTERANCE = re.compile(r"(\d+)-\d+-\d+")


def load(folder: Path, name: str | None = None) -> Corpus:
    """The corpus of a folder; without a manifest, clips are in the order of their paths."""
    name = name or folder.absolute().name
    for extension in _manifest.FORMATS:
        if (manifest := folder / f"manifest{extension}").is_file():
            return _manifest.load(manifest, name)
    for layout in (_kaldi, _audiofolder, _lhotse, esc50, fsd50k, gtzan, musdb):
        if (corpus := layout.of_folder(folder, name)) is not None:
            return corpus
    listing = folders.find(folder, folders.SOUND, CorpusError, used=(".trans.txt",))
    files = listing.files
    if not files:
        raise CorpusError(f"{folder} holds no sound: neither manifest.tsv nor sound files")
    listing.warn(folder, "sound")
    ids = _ids.derive([path.relative_to(folder).as_posix() for path in files])
    texts = _transcripts(folder)
    stems = Counter(file.stem for file in files)
    used = set(ids)
    clips = []
    for file, clip_id in zip(files, ids, strict=True):
        utterance = file.stem
        if utterance not in texts:
            clips.append(Clip(clip_id, file))
            continue
        if stems[utterance] == 1 and utterance not in used - {clip_id}:
            clip_id = utterance
        speaker = utterance.partition("-")[0]
        clips.append(Clip(clip_id, file, text=texts[utterance], speaker=speaker))
    return Corpus(name, tuple(clips), left_out=listing.left_out)


def _transcripts(folder: Path) -> dict[str, str]:
    """{utterance: text} of all *.trans.txt in `folder` and its subfolders."""
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
