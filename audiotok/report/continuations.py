"""Writes continuations of a sound as files and as a listening page, for `audiotok generate`.

The metadata of every file states that it is synthetic, and the model that generated it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from audiotok.data import Clip
from audiotok.report import listening
from audiotok.results.results import REFERENCE
from audiotok.system import outputs

if TYPE_CHECKING:
    from audiotok.speech_lm.continuing import Continued


def names(count: int) -> list[str]:
    """The names of continuations, and of their files."""
    return [f"continuation-{number}" for number in range(1, count + 1)]


def check(out: str | Path, prompt: str | Path, count: int, overwrite: bool = False) -> None:
    """Raises AudiotokError if the page or a sound in the folder `out` would replace a file."""
    listening.check_folder(out, [_clip(Path(prompt))], overwrite)
    sounds = [Path(out) / f"{name}.wav" for name in names(count)]
    outputs.check(sounds, [Path(prompt)], overwrite)


def write(continued: Continued, out: str | Path, overwrite: bool = False) -> Path:
    """Writes the listening page into the folder `out`, and each sound into a WAV file there.

    The page has the recording as reference, and all sounds at the same loudness; the WAV files have
    the loudness that the codec decoded.

    Returns:
        The path of index.html.
    """
    from audiotok.sound.audio import write as write_sound

    check(out, continued.prompt, len(continued.sounds), overwrite)
    comment, sizes = json.dumps(continued.metadata), continued.codec.card.codebook_sizes
    file_names = names(len(continued.sounds))
    versions = [listening.Version(REFERENCE, continued.reference)]
    versions += [
        listening.Version(name, sound, codes, sizes[: codes.shape[1]], comment)
        for name, sound, codes in zip(file_names, continued.sounds, continued.codes, strict=True)
    ]
    clips = [(_clip(continued.prompt), versions)]
    page = listening.write_versions(clips, out, overwrite=overwrite)
    for name, sound in zip(file_names, continued.sounds, strict=True):
        write_sound(Path(out) / f"{name}.wav", sound, comment=comment)
    return page


def _clip(prompt: Path) -> Clip:
    return Clip(prompt.stem, prompt)
