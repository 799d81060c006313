"""Ogg files: checks, splits and writes their pages.

Every page has a checksum (CRC) and a number. libsndfile silently drops a page with a wrong
checksum, and reads only the first of several files that were joined into one (chained streams,
"links" in RFC 3533); here both are detected.

Sources: RFC 3533 (Ogg), RFC 7845 (Ogg Opus).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from audiotok.errors import AudioError

BEGIN, END = 2, 4  # flags of the first and the last page of a stream
_HEAD = struct.Struct("<4sBBqIII")  # magic, version, flags, granule, serial, number, checksum
_CODECS = {b"OpusHead": "Opus", b"\x01vorbis": "Vorbis", b"\x7fFLAC": "FLAC", b"Speex  ": "Speex"}
_JUNK = 2**16  # bytes after the last page that are skipped, e.g. a tag


@dataclass
class Link:
    """One complete stream of sound in a file; joined files have several, one after another.

    Attributes:
        serial: of the stream.
        codec: "Opus", "Vorbis", "FLAC" or "Speex"; "" if it is none of these.
        ranges: [start, stop] in bytes, of its pages.
        ended: whether its last page has the flag END.
        last: start and stop of its last page.
    """

    serial: int
    codec: str
    ranges: list[list[int]] = field(default_factory=list)
    ended: bool = False
    last: tuple[int, int] = (0, 0)

    def pieces(self, file: BinaryIO) -> list[bytes | tuple[int, ...]]:
        """The link as a separate file, whose last page has the flag END."""
        if self.ended:
            return [tuple(part) for part in self.ranges]
        start, stop = self.last
        file.seek(start)
        page = bytearray(file.read(stop - start))
        page[5] |= END
        page[22:26] = bytes(4)
        struct.pack_into("<I", page, 22, _crc(bytes(page)))
        *before, (first, _) = self.ranges
        return [*map(tuple, before), (first, start), bytes(page)]


@dataclass(frozen=True)
class _Page:
    start: int
    stop: int
    flags: int
    granule: int
    serial: int
    number: int
    body: bytes


def links(file: BinaryIO, size: int) -> tuple[list[Link], str]:
    """The links of a file, and what is missing at its end ("" if nothing).

    Raises:
        AudioError: a page is damaged or missing in the middle.
    """
    result: list[Link] = []
    last_pages: dict[int, _Page] = {}
    missing, starting = "", False
    for page in _pages(file, size):
        if isinstance(page, str):
            missing = page
            break
        if page.flags & BEGIN:
            if not starting:
                result, starting = [*result, Link(page.serial, _codec(page.body))], True
            elif not result[-1].codec:  # of video, subtitles, ...
                result[-1] = Link(page.serial, _codec(page.body))
        else:
            starting = False
            last = last_pages.get(page.serial)
            if last is None or (page.number != last.number + 1 and last.granule > 0):
                raise AudioError(
                    f"pages are missing before byte {page.start}: number {page.number} follows "
                    f"{'nothing' if last is None else last.number}"
                )
        last_pages[page.serial] = page
        if page.serial == result[-1].serial:
            _append(result[-1], page)
    if not missing and result and not all(link.ended for link in result):
        missing = "the last page does not end the stream"
    return result, missing


def _append(link: Link, page: _Page) -> None:
    link.ended, link.last = bool(page.flags & END), (page.start, page.stop)
    if link.ranges and link.ranges[-1][1] == page.start:
        link.ranges[-1][1] = page.stop
    else:
        link.ranges.append([page.start, page.stop])


def _codec(packet: bytes) -> str:
    return next((name for magic, name in _CODECS.items() if packet.startswith(magic)), "")


def _pages(file: BinaryIO, size: int) -> Iterator[_Page | str]:
    """Each page; if the file is cut short, finally a text that says how."""
    file.seek(0)
    start, flags = 0, 0
    while start < size:
        head = file.read(_HEAD.size + 1)
        if not (head.startswith(b"OggS") or (len(head) < 4 and b"OggS".startswith(head))):
            file.seek(start)
            if flags & END and size - start <= _JUNK and b"OggS" not in file.read():
                return
            raise AudioError(f"no Ogg page at byte {start}")
        if len(head) < 27:
            yield f"the page at byte {start} is cut"
            return
        magic, version, flags, granule, serial, number, checksum = _HEAD.unpack(head[:26])
        segments = file.read(head[26])
        body = file.read(sum(segments))
        if len(segments) < head[26] or len(body) < sum(segments):
            yield f"the page at byte {start} is cut"
            return
        if version or checksum != _crc(head[:22] + bytes(4) + head[26:] + segments + body):
            raise AudioError(f"the checksum of the page at byte {start} does not fit")
        stop = start + 27 + len(segments) + len(body)
        yield _Page(start, stop, flags, granule, serial, number, body[:8])
        start = stop


def packets(data: bytes) -> Iterator[bytes]:
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


def build(pages: list[tuple[int, list[bytes]]]) -> bytes:
    """An Ogg file of one stream; `pages` are (granule position, packets) of each page."""
    file = b""
    for number, (granule, content) in enumerate(pages):
        segments = b"".join(b"\xff" * (len(p) // 255) + bytes([len(p) % 255]) for p in content)
        flags = (BEGIN if number == 0 else 0) | (END if number == len(pages) - 1 else 0)
        head = struct.pack("<4sBBqII", b"OggS", 0, flags, granule, 1, number)
        tail = bytes([len(segments)]) + segments + b"".join(content)
        file += head + struct.pack("<I", _crc(head + bytes(4) + tail)) + tail
    return file


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _crc(page: bytes) -> int:
    """Ogg's checksum: the polynomial of zlib.crc32 with reversed bits, starting from 0."""
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
