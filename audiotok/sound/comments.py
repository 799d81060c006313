"""The comment in the metadata of a sound file, which `audio.write` can write."""

from __future__ import annotations

from pathlib import Path

import soundfile

from audiotok.errors import AudioError


def read(path: str | Path) -> str:
    """The comment of a file; empty where it has none.

    Raises:
        AudioError: the file cannot be read.
    """
    try:
        with soundfile.SoundFile(path) as sound:
            return sound.comment
    except (soundfile.LibsndfileError, OSError) as reason:
        raise AudioError(f"{path} cannot be read: {' '.join(str(reason).split())}") from reason
