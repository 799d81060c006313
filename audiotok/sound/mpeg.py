"""MP3 files, frame by frame: how long they really are.

An MP3 file is a sequence of frames; each contains its own length. Only an optional first frame
without sound (the Xing or Info frame) contains the length of the whole file. Without it decoders
guess from the bit rate, and libsndfile reads only up to that guess. Here the frames are counted. If
the Info frame is missing, or does not cover all of several joined files, each of these gets a
correct one.

Sources: ISO 11172-3 (MPEG audio), the Xing/LAME and VBRI headers, ID3v2, APEv2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from audiotok.errors import AudioError

_KBPS = {  # bit rates of layer III by their index; MPEG 1, and MPEG 2 and 2.5
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = (44_100, 48_000, 32_000)  # Hz, MPEG 1
_HALVED = {3: 0, 2: 1, 0: 2}  # how often the rates are halved in MPEG 1, 2 and 2.5, by its two bits
_JUNK = 2**16  # bytes that are no frames and are skipped, before the first or after the last one


@dataclass(frozen=True)
class _Frame:
    """The header of a frame, its first four bytes."""

    length: int  # bytes, including the header
    rate: int  # Hz
    mono: bool
    first: bool  # MPEG 1, not 2 or 2.5

    @property
    def kind(self) -> tuple[int, bool, bool]:
        """The properties that are equal for all frames of one encoding."""
        return self.rate, self.mono, self.first

    @property
    def side(self) -> int:
        """Bytes before the sound; in an Info frame, before the name "Xing" or "Info"."""
        return 4 + ((17 if self.mono else 32) if self.first else (9 if self.mono else 17))


@dataclass
class Encoding:
    """Frames that one encoder wrote, one after another; joined files have several.

    Attributes:
        header: the first four bytes of its first frame.
        info: its Info frame, b"" if it has none.
        declared: number of frames according to the Info frame, 0 if it does not say.
        size: number of bytes according to the Info frame, 0 if it does not say.
        start: position of the first byte.
        ranges: [start, stop] in bytes, of its frames without the Info frame.
        frames: the number of these frames.
    """

    header: bytes
    start: int
    info: bytes = b""
    declared: int = 0
    size: int = 0
    ranges: list[list[int]] = field(default_factory=list)
    frames: int = 0

    def pieces(self) -> list[bytes | tuple[int, ...]]:
        """The encoding as a separate file, whose Info frame has the correct number of frames."""
        size = sum(stop - start for start, stop in self.ranges)
        info = _corrected(self.info or _info_frame(self.header), self.frames, size)
        return [info, *map(tuple, self.ranges)]


def encodings(file: BinaryIO, size: int) -> tuple[list[Encoding], str]:
    """The encodings in a file, and what is missing at its end ("" if nothing).

    Raises:
        AudioError: the file is damaged: there are bytes between its frames that are no frames.
    """
    result: list[Encoding] = []
    missing, kind = "", None
    for start, frame, data in _frames(file, size):
        if start + frame.length > size:
            missing = f"{start + frame.length - size} bytes of the last frame"
            break
        at = _info_at(data)
        full = result and result[-1].frames == result[-1].declared > 0
        if not result or at or frame.kind != kind or full:
            result.append(Encoding(data[:4], start))
        kind, last = frame.kind, result[-1]
        if at:
            last.info = data[: frame.length]
            last.declared, last.size = _declared(data[at:])
        elif data[36:40] != b"VBRI":  # another frame without sound
            _append(last, start, start + frame.length)
    result = [encoding for encoding in result if encoding.frames or encoding.declared]
    stops = [*(encoding.start for encoding in result[1:]), size]
    for encoding, next_start in zip(result, stops, strict=False):
        lost = encoding.declared - encoding.frames
        if (
            not missing
            and lost > 0
            and (encoding.size == 0 or encoding.start + encoding.size > next_start)
        ):
            missing = f"{lost} of {encoding.declared} frames" if lost > 1 or encoding.size else ""
    return result, missing


def _append(encoding: Encoding, start: int, stop: int) -> None:
    encoding.frames += 1
    if encoding.ranges and encoding.ranges[-1][1] == start:
        encoding.ranges[-1][1] = stop
    else:
        encoding.ranges.append([start, stop])


def _frames(file: BinaryIO, size: int) -> Iterator[tuple[int, _Frame, bytes]]:
    """(start, frame, its first bytes); tags are skipped, the last frame may be cut short."""
    start, kind = 0, None
    while start < size:
        file.seek(start)
        data = file.read(200)
        frame = _parse(data)
        if frame and (frame.kind == kind or _goes_on(file, size, start, frame)):
            kind = frame.kind
            if _info_at(data):
                file.seek(start)
                data = file.read(frame.length)
            yield start, frame, data
            start += frame.length
        elif length := tag(data):
            start += length
        else:
            after = _next(file, size, start)
            if after - start > _JUNK or (kind is not None and after < size):
                raise AudioError(f"{after - start} bytes at byte {start} are no MP3 frames")
            start = after


def _next(file: BinaryIO, size: int, start: int) -> int:
    """Position of the next frames or tag after junk at `start`; `size` if there are none."""
    file.seek(start)
    junk = file.read(_JUNK + 200)
    for offset in range(1, min(len(junk), _JUNK + 1)):
        if junk[offset] == 0xFF and (frame := _parse(junk[offset : offset + 4])):
            if _goes_on(file, size, start + offset, frame):
                return start + offset
        elif junk[offset : offset + 3] in (b"TAG", b"ID3", b"APE") and tag(junk[offset:]):
            return start + offset
    return size


def _goes_on(file: BinaryIO, size: int, start: int, frame: _Frame) -> bool:
    """Whether another frame of the same kind, a tag or the end is where this frame ends."""
    if start + frame.length >= size:
        return start + frame.length == size
    file.seek(start + frame.length)
    data = file.read(200)
    after = _parse(data)
    return bool(tag(data) or (after and after.kind == frame.kind))


def _parse(header: bytes) -> _Frame | None:
    """The frame of layer III that begins with these bytes; None if there is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, index, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version not in _HALVED or index in (0, 15) or rate == 3 or header[3] & 3 == 2:
        return None
    first = version == 3
    hertz = _RATES[rate] >> _HALVED[version]
    length = (144 if first else 72) * _KBPS[first][index] * 1000 // hertz + (header[2] >> 1 & 1)
    return _Frame(length, hertz, header[3] >> 6 == 3, first)


def tag(data: bytes) -> int:
    """Length in bytes of the tag that begins with `data`; 0 if there is none."""
    if data[:3] == b"ID3" and len(data) >= 10 and max(data[6:10]) < 128:
        length = 0
        for digit in data[6:10]:  # 7 bits each
            length = length << 7 | digit
        return 10 + length + (10 if data[5] & 0x10 else 0)
    if data[:8] == b"APETAGEX" and len(data) >= 24:
        length, flags = struct.unpack("<I4xI", data[12:24])
        return length + 32 if flags & 1 << 29 else 32
    return 128 if data[:3] == b"TAG" else 0


def _info_at(data: bytes) -> int:
    """Position of the name Xing or Info in the first bytes of a frame; 0 if it is not there."""
    frame = _parse(data)
    if frame is None:
        return 0
    offsets = (frame.side, frame.side + 2)  # with a checksum
    return next((at for at in offsets if data[at : at + 4] in (b"Xing", b"Info")), 0)


def _declared(info: bytes) -> tuple[int, int]:
    """Frames and bytes that an Info frame declares after its name; 0 if it does not."""
    flags, *values = struct.unpack(">III", info[4:16].ljust(12, b"\0"))
    frames = values.pop(0) if flags & 1 else 0
    size = values.pop(0) if flags & 2 else 0
    return (frames, size) if frames < 2**31 else (0, 0)


def _corrected(info: bytes, frames: int, size: int) -> bytes:
    """The Info frame with these numbers of frames and of bytes after it."""
    at = _info_at(info) + 4
    if not info[at + 3] & 1:
        return _corrected(_info_frame(info[:4]), frames, size)
    info = info[: at + 4] + struct.pack(">I", frames) + info[at + 8 :]
    if info[at + 3] & 2:
        info = info[: at + 8] + struct.pack(">I", len(info) + size) + info[at + 12 :]
    return info


def _info_frame(header: bytes) -> bytes:
    """An Info frame for frames that begin with `header`."""
    index = 9 if _parse(header).first else 8  # 128 or 64 kbit/s: long enough
    header = bytes([0xFF, header[1] | 1, index << 4 | header[2] & 0x0C, header[3]])
    frame = _parse(header)
    return (header + bytes(frame.side - 4) + b"Info" + bytes([0, 0, 0, 1])).ljust(
        frame.length, b"\0"
    )
