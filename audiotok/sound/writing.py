"""Writing sound: an `Audio` into a file of the format that its extension names."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile

from audiotok.errors import AudioError
from audiotok.system.files import replacing

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

_WRITTEN = 2**16  # samples written at once: libsndfile's Vorbis encoder crashes on millions
_WRITERS = {  # extension: format and subtype of libsndfile
    ".wav": ("WAV", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"),
    ".ogg": ("OGG", "VORBIS"),
    ".opus": ("OGG", "OPUS"),
    ".mp3": ("MP3", "MPEG_LAYER_III"),
}
WRITABLE = tuple(_WRITERS)  # extensions that `write` knows

log = logging.getLogger("audiotok")


def write(
    path: str | Path, audio: Audio, subtype: str | None = None, comment: str | None = None
) -> None:
    """Writes `audio` in the format that the extension of `path` names, whole or not at all.

    Args:
        path: .wav and .flac (16-bit PCM), .ogg (Vorbis), .opus or .mp3.
        subtype: another sample format of libsndfile, e.g. "PCM_24" or "FLOAT". Samples beyond
            [-1, 1] are clipped in every format but FLOAT and DOUBLE; a warning counts them.
        comment: text for the file's metadata; .wav, .flac and .ogg keep it (`comments.read`).
    """
    extension = Path(path).suffix.lower()
    if extension not in _WRITERS:
        raise AudioError(
            f"cannot write {path}: the extension {extension!r} is none of {', '.join(_WRITERS)}"
        )
    file_format, default = _WRITERS[extension]
    subtype = subtype or default
    if not soundfile.check_format(file_format, subtype):
        raise AudioError(f"cannot write {path}: {file_format} has no sample format {subtype!r}")
    settings = {"samplerate": audio.sample_rate, "channels": audio.channels}
    settings |= {"format": file_format, "subtype": subtype}
    try:
        with (
            replacing(path, AudioError) as file,
            soundfile.SoundFile(file.fileno(), "w", closefd=False, **settings) as sound,
        ):
            if comment is not None:
                sound.comment = comment
            for block in audio.waveform.detach().split(_WRITTEN, dim=1):
                sound.write(block.T.numpy())
    except soundfile.LibsndfileError as reason:
        raise AudioError(
            f"cannot write {path}: {file_format} {subtype} at {audio.sample_rate} Hz: "
            f"{first_line(reason)}; resample, choose .wav, or free disk space"
        ) from reason
    if subtype not in ("FLOAT", "DOUBLE") and (clipped := int((audio.waveform.abs() > 1).sum())):
        log.warning(
            "%s: %d of %d samples are beyond [-1, 1] (peak %.3g) and were clipped",
            path, clipped, audio.waveform.numel(), float(audio.waveform.abs().max()),
        )  # fmt: skip


def first_line(reason: BaseException) -> str:
    """The first line of an error of libsndfile, NumPy or PyTorch."""
    text = getattr(reason, "error_string", None) or str(reason) or type(reason).__name__
    return text.strip().splitlines()[0].removeprefix("Error : ").rstrip(".")
