"""MP3 files, frame by frame: how long they really are.

An MP3 file is a row of frames, each of which tells its own length. Only a first frame that holds no
sound (the Xing or Info frame) tells the length of the whole, and not every file has one: decoders
then guess from the bit rate. libsndfile reads as far as that guess. Here the frames are counted,
and where the Info frame is missing, or does not cover all of several joined files, each of these
gets one that is right.

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
_JUNK = 2**16  # bytes that are no frames and are passed over, before the first or behind the last


@dataclass(frozen=True)
class _Frame:
    """What the four bytes at the start of a frame say."""

    length: int  # bytes, with these four
    rate: int  # Hz
    mono: bool
    first: bool  # MPEG 1, not 2 or 2.5

    @property
    def kind(self) -> tuple[int, bool, bool]:
        """What is equal for all frames of one encoding."""
        return self.rate, self.mono, self.first

    @property
    def side(self) -> int:
        """Bytes of the frame before its sound, where the Info frame has its name."""
        return 4 + ((17 if self.mono else 32) if self.first else (9 if self.mono else 17))


@dataclass
class Encoding:
    """Frames that one encoder wrote, one after another; joined files have several.

    Attributes:
        header: the first four bytes of its first frame.
        info: bytes of its Info frame, b"" where it has none.
        declared: frames that this promises, 0 where it does not.
        size: bytes that it promises, 0 where it does not.
        start: byte where it begins.
        ranges: [start, stop] in bytes, of its frames without the Info frame.
        frames: how many these are.
    """

    header: bytes
    start: int
    info: bytes = b""
    declared: int = 0
    size: int = 0
    ranges: list[list[int]] = field(default_factory=list)
    frames: int = 0

    def pieces(self) -> list[bytes | tuple[int, ...]]:
        """The encoding as a file of its own, whose Info frame has the right number of frames."""
        size = sum(stop - start for start, stop in self.ranges)
        info = _mended(self.info or _info_frame(self.header), self.frames, size)
        return [info, *map(tuple, self.ranges)]


def encodings(file: BinaryIO, size: int) -> tuple[list[Encoding], str]:
    """What a file holds, and what is missing at its end ("" where nothing is).

    Raises:
        AudioError: there is something else than frames in the middle, as damage leaves it.
    """
    found: list[Encoding] = []
    missing, kind = "", None
    for start, frame, data in _frames(file, size):
        if start + frame.length > size:
            missing = f"{start + frame.length - size} bytes of the last frame"
            break
        at = _info_at(data)
        full = found and found[-1].frames == found[-1].declared > 0
        if not found or at or frame.kind != kind or full:
            found.append(Encoding(data[:4], start))
        kind, last = frame.kind, found[-1]
        if at:
            last.info = data[: frame.length]
            last.declared, last.size = _promised(data[at:])
        elif data[36:40] != b"VBRI":  # another frame without sound
            _append(last, start, start + frame.length)
    found = [one for one in found if one.frames or one.declared]
    stops = [*(one.start for one in found[1:]), size]
    for one, after in zip(found, stops, strict=False):
        lost = one.declared - one.frames
        if not missing and lost > 0 and (one.size == 0 or one.start + one.size > after):
            missing = f"{lost} of {one.declared} frames" if lost > 1 or one.size else ""
    return found, missing


def _append(encoding: Encoding, start: int, stop: int) -> None:
    encoding.frames += 1
    if encoding.ranges and encoding.ranges[-1][1] == start:
        encoding.ranges[-1][1] = stop
    else:
        encoding.ranges.append([start, stop])


def _frames(file: BinaryIO, size: int) -> Iterator[tuple[int, _Frame, bytes]]:
    """(start, frame, its first bytes); tags between them are passed over, the last may be cut."""
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
    """Where frames or a tag go on behind junk at `start`; `size` where they do not."""
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
    """The frame of layer III that begins with these bytes, if one does."""
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
    """Bytes of the tag that begins so; 0 where none does."""
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
    """Where in these first bytes of a frame the name Xing or Info stands; 0 where it does not."""
    frame = _parse(data)
    if frame is None:
        return 0
    places = (frame.side, frame.side + 2)  # with a checksum
    return next((at for at in places if data[at : at + 4] in (b"Xing", b"Info")), 0)


def _promised(info: bytes) -> tuple[int, int]:
    """Frames and bytes by what follows the name of an Info frame; 0 where it does not say."""
    flags, *values = struct.unpack(">III", info[4:16].ljust(12, b"\0"))
    frames = values.pop(0) if flags & 1 else 0
    size = values.pop(0) if flags & 2 else 0
    return (frames, size) if frames < 2**31 else (0, 0)


def _mended(info: bytes, frames: int, size: int) -> bytes:
    """The Info frame with other numbers of frames, and of bytes behind it."""
    at = _info_at(info) + 4
    if not info[at + 3] & 1:
        return _mended(_info_frame(info[:4]), frames, size)
    info = info[: at + 4] + struct.pack(">I", frames) + info[at + 8 :]
    if info[at + 3] & 2:
        info = info[: at + 8] + struct.pack(">I", len(info) + size) + info[at + 12 :]
    return info


def _info_frame(header: bytes) -> bytes:
    """An Info frame in front of frames that begin with `header`."""
    index = 9 if _parse(header).first else 8  # 128 or 64 kbit/s: long enough
    header = bytes([0xFF, header[1] | 1, index << 4 | header[2] & 0x0C, header[3]])
    frame = _parse(header)
    return (header + bytes(frame.side - 4) + b"Info" + bytes([0, 0, 0, 1])).ljust(
        frame.length, b"\0"
    )
