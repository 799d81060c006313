"""The samples of a sound file, decoded block by block with libsndfile or FFmpeg.

Their number and their checksum are compared with what the file declares.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from audiotok.errors import AudioError
from audiotok.sound import media
from audiotok.sound.containers import HOW_TO_ALLOW, Pieces, describe
from audiotok.system.failures import is_of_the_machine

SAMPLE_RATES = (1_000, 768_000)  # Hz, the lowest and the highest accepted
MAX_SAMPLES = 2**31  # per channel: 12 hours at 48 kHz
BLOCK = 2**20  # samples decoded at once
_SMALL_BLOCK = 2**10  # the same if decoding may fail, since an error loses the block
_COPIED = 2**20  # bytes copied at once
_OTHER_CODECS = (
    "WAV",
    "AIFF",
    "W64",
    "CAF",
    "Ogg",
)  # may contain codecs that libsndfile cannot decode
log = logging.getLogger("audiotok")


class Decoder:
    """A sound file.

    Args:
        allow_truncated: read a file that is cut short, up to where it ends.

    Attributes:
        num_samples: per channel.
        channels, sample_rate: of the file, Hz.

    Raises:
        AudioError: see `audiotok.sound.audio.read`.
    """

    def __init__(self, path: Path, allow_truncated: bool = False) -> None:
        self._path, self._allow_truncated = path, allow_truncated
        self._container = describe(path, allow_truncated)
        self.channels, self.sample_rate, declared = self._declared()
        if declared is None or allow_truncated:
            self.num_samples = sum(len(block) for block in self._decoded())
        else:
            self.num_samples = declared
        if self.num_samples == 0:
            raise AudioError(f"{path} is empty: it holds 0 samples")
        self._cut = bool(self._container.missing) or (declared or 0) > self.num_samples

    def blocks(self, size: int = BLOCK) -> Iterator[np.ndarray]:
        """Samples (n, C) float32, one block after another, n at most `size`.

        Raises:
            AudioError: after the last block, if samples are missing or the checksum is wrong.
        """
        count, digest = 0, hashlib.md5(usedforsecurity=False)
        md5 = None if self._allow_truncated else self._container.md5
        for block in self._decoded(size):
            count += len(block)
            if md5 is not None:
                digest.update(_integers(block, md5[1]))
            yield block
        if count != self.num_samples:
            raise AudioError(
                f"{self._path} is damaged or cut short: of {self.num_samples} samples declared, "
                f"{count} are there; {HOW_TO_ALLOW}"
            )
        if md5 is not None and digest.digest() != md5[0]:
            raise AudioError(
                f"{self._path} is damaged: the checksum (MD5) of its samples is not the one it "
                "declares; get it again, or re-encode it, e.g. with `flac`"
            )
        if self._cut:
            log.warning("%s is cut short: only its first %d samples are read", self._path, count)

    def _declared(self) -> tuple[int, int, int | None]:
        """Channels, rate and total samples of all parts; samples are None if not declared."""
        try:
            kinds = self._kinds()
        except _Broken as reason:
            if self._container.name not in _OTHER_CODECS:
                raise
            if not media.installed():
                raise AudioError(
                    f"{reason}; if it is not damaged, FFmpeg may read it: pip install "
                    "'audiotok[media]'"
                ) from reason
            self._container = replace(self._container, media=True, parts=(None,))
            kinds = self._kinds()
        channels, rate, _ = kinds[0]
        if other := next((kind for kind in kinds if kind[:2] != (channels, rate)), None):
            raise AudioError(
                f"{self._path} consists of files of {channels} channel(s) at {rate} Hz and of "
                f"{other[0]} at {other[1]} Hz: split it"
            )
        if channels > 2:
            raise AudioError(f"{self._path} has {channels} channels: mix it to 1 or 2 first")
        low, high = SAMPLE_RATES
        if not low <= rate <= high:
            raise AudioError(f"{self._path} has {rate} Hz, which is not between {low} and {high}")
        frames = [kind[2] for kind in kinds]
        if max(frames) >= media.UNKNOWN:
            return channels, rate, None
        self._check_length(sum(frames))
        return channels, rate, sum(frames)

    def _kinds(self) -> list[tuple[int, int, int]]:
        """Channels, rate and samples of each part."""
        kinds = []
        for part in self._container.parts:
            with self._opened(part) as file:
                kinds.append((file.channels, file.samplerate, file.frames))
        return kinds

    def _decoded(self, size: int = BLOCK) -> Iterator[np.ndarray]:
        """As `blocks`, without the checks at the end."""
        count = 0
        size = min(size, _SMALL_BLOCK) if self._allow_truncated else size
        for part in self._container.parts:
            try:
                with self._opened(part) as file:
                    while len(block := file.read(size, np.float32, always_2d=True)):
                        count += len(block)
                        self._check_length(count)
                        yield block
            except _Broken as reason:
                if not self._allow_truncated:
                    raise AudioError(f"{reason}; {HOW_TO_ALLOW}") from reason
                if not count:
                    raise

    def _check_length(self, samples: int) -> None:
        if samples > MAX_SAMPLES:
            raise AudioError(f"{self._path} has {samples} samples, more than {MAX_SAMPLES}: cut it")

    @contextmanager
    def _opened(self, part: Pieces | None) -> Iterator[soundfile.SoundFile | media.MediaFile]:
        """Open one part of the file; decoding errors become AudioError."""
        try:
            with open(self._path, "rb") as whole:
                if self._container.media:
                    with media.MediaFile(whole, self._allow_truncated) as file:
                        yield file
                elif part is None:
                    with _Forwards(whole.fileno(), closefd=False) as file:
                        yield file
                else:
                    with (
                        _copied(whole, part) as copy,
                        _Forwards(copy.fileno(), closefd=False) as file,
                    ):
                        yield file
        except AudioError:
            raise
        except Exception as reason:  # a damaged file may make a library raise anything
            if is_of_the_machine(reason):
                raise
            raise _Broken(
                f"{self._path} cannot be decoded as {self._container.name}, it is damaged or cut "
                f"short ({_first_line(reason)})"
            ) from reason


class _Broken(AudioError):
    """Decoding stopped before the end of a file."""


class _Forwards(soundfile.SoundFile):
    """Reads from start to end without seeking; soundfile would seek between blocks, inexactly."""

    def seekable(self) -> bool:
        return False


@contextmanager
def _copied(file: BinaryIO, pieces: Pieces) -> Iterator[BinaryIO]:
    """A temporary file of these pieces."""
    with tempfile.TemporaryFile() as copy:
        for piece in pieces:
            if isinstance(piece, bytes):
                copy.write(piece)
                continue
            start, stop = piece
            file.seek(start)
            while start < stop and (data := file.read(min(_COPIED, stop - start))):
                copy.write(data)
                start += len(data)
        copy.flush()
        copy.seek(0)
        yield copy


def _integers(samples: np.ndarray, bits: int) -> bytes:
    """Floats in [-1, 1] as the little-endian integers of `bits` bits that they came from."""
    integers = samples * np.float32(2.0 ** (bits - 1))  # exact
    if bits <= 16:
        return integers.astype(f"<i{bits // 8}").tobytes()
    return integers.astype("<i4").view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()


def _first_line(reason: BaseException) -> str:
    text = getattr(reason, "error_string", None) or str(reason) or type(reason).__name__
    return text.strip().splitlines()[0].removeprefix("Error : ").rstrip(".")
