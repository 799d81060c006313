"""Speech Commands v0.02 (Warden 2018, arXiv 1804.03209, CC BY 4.0): 105,829 recordings of 35 words.

Downloaded once into the data folder as `speech_commands`, 2.4 GB. The split is the official one:
testing_list.txt, validation_list.txt, and all other files for training.
"""

from __future__ import annotations

from pathlib import Path

from audiotok.data import Clip, Corpus, _download, _ids, _place

URL = "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
LISTS = {"test": "testing_list.txt", "validation": "validation_list.txt"}
NOISE = "_background_noise_"
NAMES = ("speech_commands",)


def place(name: str) -> Path:
    """The folder of the downloaded corpus."""
    return _download.place(name)


def load(name: str) -> Corpus:
    """All words; label and text are the word, the speaker is the hash in the name of the file."""
    folder = _download.fetch_archive(URL, SHA256, inner=".", target=place(name))
    splits = {path: split for split, file in LISTS.items() for path in _place.lines(folder / file)}
    files = [path for path in _place.sounds(folder, "*/*.wav") if path.parent.name != NOISE]
    paths = [path.relative_to(folder).as_posix() for path in files]
    ids = _ids.derive(paths)
    clips = (
        _clip(clip_id, file, splits.get(path, "train"))
        for clip_id, file, path in zip(ids, files, paths, strict=True)
    )
    return Corpus(name, tuple(clips), licence="CC BY 4.0")


def _clip(clip_id: str, file: Path, split: str) -> Clip:
    word, speaker = file.parent.name, file.stem.partition("_nohash_")[0]
    return Clip(clip_id, file, text=word, speaker=speaker, label=word, split=split)
