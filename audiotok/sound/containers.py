"""What the bytes of a sound file promise: its format, and how much sound it should hold.

libsndfile reads a file that was cut short as far as it goes and says nothing; here the promise in
the headers is read without decoding, so that `audio.read` can notice. Ogg pages are taken apart
and put together here as well, for the Opus codecs.

Sources: RIFF/WAVE and AIFF chunks, RFC 3533 (Ogg), RFC 7845 (Ogg Opus), the Xing header of MP3.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from audiotok.errors import AudioError

_EXTENSIONS = {
    ".wav": "WAV",
    ".flac": "FLAC",
    ".ogg": "Ogg",
    ".oga": "Ogg",
    ".opus": "Ogg Opus",
    ".mp3": "MP3",
    ".aif": "AIFF",
    ".aiff": "AIFF",
}
_UNKNOWN = 0xFFFFFFFF  # the size that a program writes which does not know it (a pipe)


@dataclass(frozen=True)
class Container:
    """The format of a file by its content, and the samples it declares if only here."""

    name: str
    frames: int = 0


def describe(path: Path) -> Container:
    """Looks at a sound file.

    Raises:
        AudioError: missing, not a regular file, not a sound file, another format than its
            extension says, or cut short.
    """
    if not path.exists():
        raise AudioError(f"{path} does not exist")
    if not path.is_file():
        raise AudioError(f"{path} is {'a folder' if path.is_dir() else 'no regular file'}")
    size = path.stat().st_size
    if size == 0:
        raise AudioError(f"{path} is empty: it holds 0 bytes")
    try:
        with open(path, "rb") as file:
            name = _format(file)
            promised = _EXTENSIONS.get(path.suffix.lower(), "")
            if name is None:
                raise AudioError(
                    f"{path} is not a sound file: no WAV, FLAC, Ogg, MP3 or AIFF in it"
                )
            if name in ("WAV", "AIFF"):
                missing, frames = _missing_from_chunks(file, size), 0
            elif name == "MP3":
                missing, frames = _mp3_promise(file, size)
            else:
                missing, frames = 0, 0
            if missing > 0:
                raise AudioError(
                    f"{path} is cut short: {missing} bytes of what it promises are missing"
                )
            if name.startswith("Ogg") and not _ends_properly(file, size):
                raise AudioError(f"{path} is cut short: its last Ogg page does not end the stream")
            if not name.startswith(promised):
                raise AudioError(
                    f"{path} is mislabelled: {path.suffix} promises {promised}, its content is "
                    f"{name}; rename it"
                )
            return Container(name, frames)
    except OSError as reason:
        raise AudioError(f"{path} cannot be opened: {reason.strerror}") from reason


def _format(file: BinaryIO) -> str | None:
    head = file.read(64)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return "WAV"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    if head[:4] == b"fLaC":
        return "FLAC"
    if head[:4] == b"OggS":
        return "Ogg Opus" if b"OpusHead" in head else "Ogg"
    if head[:3] == b"ID3" or (head[0] == 0xFF and len(head) > 1 and head[1] & 0xE6 == 0xE2):
        return "MP3"
    return None


def _missing_from_chunks(file: BinaryIO, size: int) -> int:
    """Bytes that the sound chunk of a WAV or AIFF file promises beyond the end of the file."""
    file.seek(0)
    form = file.read(12)[:4]
    order = "<" if form in (b"RIFF", b"RF64") else ">"
    long_size = None
    while len(header := file.read(8)) == 8:
        name, length = header[:4], struct.unpack(order + "I", header[4:])[0]
        if name == b"ds64":  # RF64 keeps the true size of its data here
            long_size = struct.unpack("<8xQ", file.read(16))[0]
            file.seek(-16, 1)
        if name in (b"data", b"SSND"):
            if length == _UNKNOWN:
                length = long_size or 0
            return file.tell() + length - size
        file.seek(length + length % 2, 1)
    return 0


def _mp3_promise(file: BinaryIO, size: int) -> tuple[int, int]:
    """Missing bytes, and samples per channel, by the header that LAME and FFmpeg write into MP3.

    0, 0 where there is none: such a file does not say how long it is.
    """
    file.seek(0)
    head = file.read(10)
    start = 0
    if head[:3] == b"ID3" and len(head) == 10:
        start = 10 + _seven_bits(head[6:])
    file.seek(start)
    frame = file.read(256)
    at = max(frame.find(b"Xing"), frame.find(b"Info"))
    encoder = frame[at + 120 : at + 144]
    if at < 0 or encoder[:4] not in (b"LAME", b"Lavc", b"Lavf") or frame[at + 7] != 15:
        return 0, 0
    count, length = struct.unpack(">II", frame[at + 8 : at + 16])
    gaps = int.from_bytes(encoder[21:24], "big")  # encoder delay and padding, 12 bits each
    samples = 1152 if frame[1] & 0x18 == 0x18 else 576  # MPEG 1, or 2 and 2.5
    return start + length - size, count * samples - (gaps >> 12) - (gaps & 0xFFF)


def _seven_bits(digits: bytes) -> int:
    """ID3's numbers: 7 bits in each byte."""
    number = 0
    for digit in digits:
        number = number << 7 | digit & 0x7F
    return number


def _ends_properly(file: BinaryIO, size: int) -> bool:
    """Whether an Ogg file ends with a whole page that carries the end-of-stream mark."""
    file.seek(max(0, size - 65_307 - 27))  # the largest page
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return False
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])


def ogg_packets(data: bytes) -> Iterator[bytes]:
    """The packets of an Ogg file that holds one stream."""
    position, packet = 0, b""
    while position < len(data):
        first = position + 27
        segments = data[first : first + data[position + 26]]
        position = first + len(segments)
        for length in segments:
            packet += data[position : position + length]
            position += length
            if length < 255:
                yield packet
                packet = b""


def ogg_file(pages: list[tuple[int, list[bytes]]]) -> bytes:
    """An Ogg file of one stream, from (granule position, packets) of each of its pages."""
    file = b""
    for number, (granule, packets) in enumerate(pages):
        segments = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in packets)
        flags = (2 if number == 0 else 0) | (4 if number == len(pages) - 1 else 0)
        head = struct.pack("<4sBBqII", b"OggS", 0, flags, granule, 1, number)
        tail = bytes([len(segments)]) + segments + b"".join(packets)
        file += head + struct.pack("<I", _crc(head + bytes(4) + tail)) + tail
    return file


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _crc(page: bytes) -> int:
    """Ogg's checksum: the polynomial of zlib.crc32, bits the other way round, starting from 0."""
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
