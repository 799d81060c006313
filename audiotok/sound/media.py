"""Sound that libsndfile does not read (m4a, webm, wma, ...), decoded by FFmpeg through PyAV.

PyAV is optional: `pip install 'audiotok[media]'` brings it with an FFmpeg of its own.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO

import numpy as np

from audiotok.errors import AudioError

_FORMATS = "mov,mp4,m4a,3gp,matroska,webm,aac,amr,asf,wv,ape,wav,ogg,caf,aiff,mp3"  # no playlists
_SLACK = 0.1  # seconds that may be missing: encoders count some that decoders leave out
UNKNOWN = 2**62  # as many samples as libsndfile says where it does not know


def installed() -> bool:
    """Whether PyAV is there."""
    return importlib.util.find_spec("av") is not None


class MediaError(Exception):
    """FFmpeg cannot decode a file."""


class MediaFile:
    """The first sound of a file, read from the beginning to the end like `soundfile.SoundFile`.

    Args:
        file: open for reading. FFmpeg gets this alone, and may open nothing else.
        allow_truncated: do not compare what is read with the length that is declared.

    Attributes:
        channels, samplerate: of the sound, Hz.
        frames: not known before all is decoded, for such files declare it inexactly.
    """

    frames = UNKNOWN

    def __init__(self, file: BinaryIO, allow_truncated: bool = False) -> None:
        try:
            import av
        except ImportError:
            raise AudioError(
                f"{file.name} is nothing that libsndfile reads; FFmpeg does, through the package "
                "av, which is not installed: pip install 'audiotok[media]'"
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
        found = 0
        try:
            for frame in container.decode(stream):
                frame.pts = None  # so that gaps between time stamps are left as they are
                for part in resampler.resample(frame):
                    if (len(part.layout.channels), part.sample_rate) != (
                        self.channels, self.samplerate,
                    ):  # fmt: skip
                        raise MediaError("its channels or its rate change on the way")
                    found += part.samples
                    yield np.ascontiguousarray(part.to_ndarray().T)
        except (self._av.FFmpegError, ValueError) as reason:
            raise MediaError(_text(reason)) from reason
        if found / self.samplerate < self._declared - _SLACK:
            raise MediaError(
                f"of {self._declared:.2f} s declared, {found / self.samplerate:.2f} s are there"
            )


def _seconds(av: Any, container: Any, stream: Any) -> float:
    """How long a file says that its sound is; 0 where it does not."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return container.duration / av.time_base
    return 0.0


def _text(reason: Exception) -> str:
    return str(getattr(reason, "strerror", None) or reason)
