"""Sound that libsndfile cannot read (m4a, webm, wma, ...), decoded by FFmpeg through PyAV.

PyAV is optional: `pip install 'audiotok[media]'` installs it together with FFmpeg.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO

import numpy as np

from audiotok.errors import AudioError

_FORMATS = "mov,mp4,m4a,3gp,matroska,webm,aac,amr,asf,wv,ape,wav,ogg,caf,aiff,mp3"  # no playlists
_SLACK = 0.1  # seconds that may be missing: encoders count padding that decoders remove
UNKNOWN = 2**62  # number of samples that libsndfile reports if it does not know it


def installed() -> bool:
    """Whether PyAV is installed."""
    return importlib.util.find_spec("av") is not None


class MediaError(Exception):
    """FFmpeg cannot decode a file."""


class MediaFile:
    """The first audio stream of a file, read from start to end like `soundfile.SoundFile`.

    Args:
        file: open for reading. FFmpeg reads this file only, and cannot open any other.
        allow_truncated: do not compare the decoded length with the declared one.

    Attributes:
        channels, samplerate: of the stream, Hz.
        frames: UNKNOWN, since such files declare their length inexactly.
    """

    frames = UNKNOWN

    def __init__(self, file: BinaryIO, allow_truncated: bool = False) -> None:
        try:
            import av
        except ImportError:
            raise AudioError(
                f"{file.name} has a format that libsndfile cannot read; FFmpeg can, through the "
                "package av, which is not installed: pip install 'audiotok[media]'"
            ) from None  # no cause: it does not pass by itself
        self._av, self._stack = av, ExitStack()
        options = {"format_whitelist": _FORMATS, "protocol_whitelist": "none"}
        try:
            container = av.open(file, options=options, metadata_errors="replace")
            self._stack.enter_context(container)
            if not container.streams.audio:
                raise AudioError(f"{file.name} holds no sound, only {container.format.long_name}")
            stream = container.streams.audio[0]
            self.channels, self.samplerate = stream.codec_context.channels, stream.sample_rate
        except (av.FFmpegError, ValueError) as reason:
            self._stack.close()
            raise MediaError(_text(reason)) from reason
        except BaseException:
            self._stack.close()
            raise
        self._declared = 0.0 if allow_truncated else _seconds(av, container, stream)
        self._blocks = self._decoded(container, stream)

    def __enter__(self) -> MediaFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, samples: int, dtype: type, always_2d: bool) -> np.ndarray:
        """The next block (n, C) float32, of any n; n = 0 at the end."""
        return next(self._blocks, np.empty((0, self.channels), np.float32))

    def _decoded(self, container: Any, stream: Any) -> Iterator[np.ndarray]:
        resampler = self._av.AudioResampler(format="fltp")
        count = 0
        try:
            for frame in container.decode(stream):
                frame.pts = None  # so that the resampler does not fill gaps between time stamps
                for part in resampler.resample(frame):
                    if (len(part.layout.channels), part.sample_rate) != (
                        self.channels, self.samplerate,
                    ):  # fmt: skip
                        raise MediaError("its channels or its sample rate change within the file")
                    count += part.samples
                    yield np.ascontiguousarray(part.to_ndarray().T)
        except (self._av.FFmpegError, ValueError) as reason:
            raise MediaError(_text(reason)) from reason
        if count / self.samplerate < self._declared - _SLACK:
            raise MediaError(
                f"of {self._declared:.2f} s declared, {count / self.samplerate:.2f} s are there"
            )


def _seconds(av: Any, container: Any, stream: Any) -> float:
    """The declared duration, s; 0 if there is none."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return 0.0


def _text(reason: Exception) -> str:
    return str(getattr(reason, "strerror", None) or reason)
