"""WAV, RF64, AIFF, W64, CAF and AU: position of the samples, and the length in the header.

These files consist of chunks, each with a name and a length. A program that writes into a pipe does
not know the length and writes a placeholder: 0, -1, or a large round number. Then the sound goes on
to the end of the file.

Sources: RIFF/WAVE, EBU Tech 3306 (RF64), AIFF, Sony Wave64, Apple CAF, Sun AU.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

from audiotok.errors import AudioError

_LONGEST_HEAD = 2**26  # bytes before the sound, in a file whose header has to be rewritten
_MOST = 1000  # chunks before the sound; a file with more is refused


@dataclass(frozen=True)
class _Layout:
    """How a format writes its chunks."""

    first: int  # byte where the first chunk begins
    name: int  # bytes of a name
    length: str  # format of a length for `struct`
    sound: bytes  # name of the chunk with the sound, b"" where there are no chunks
    counted: int = 0  # bytes of the chunk's own header that its length includes
    align: int = 1  # chunks begin at multiples of this many bytes

    @property
    def head(self) -> int:
        """Bytes before the content of a chunk."""
        return self.name + struct.calcsize(self.length)


@dataclass(frozen=True)
class Sound:
    """The chunk with the sound.

    Attributes:
        start: byte where its content begins.
        missing: bytes that it declares beyond the end of the file.
        head: the bytes before `start` with the true length, if libsndfile cannot read those of
            the file; else None.
    """

    start: int
    missing: int = 0
    head: bytes | None = None


_LAYOUTS = {
    b"RIFF": _Layout(12, 4, "<I", b"data", align=2),
    b"RF64": _Layout(12, 4, "<I", b"data", align=2),
    b"RIFX": _Layout(12, 4, ">I", b"data", align=2),
    b"FORM": _Layout(12, 4, ">I", b"SSND", align=2),
    b"riff": _Layout(40, 16, "<Q", b"data", counted=24, align=8),
    b"caff": _Layout(8, 4, ">Q", b"data"),
    b".snd": _Layout(4, 0, ">I", b""),  # no chunks
}


def sound(file: BinaryIO, size: int) -> Sound | None:
    """The chunk with the sound of a file of `size` bytes; None where there is none.

    Raises:
        AudioError: there are too many chunks before it, it begins within the header, or has more
            bytes than its format can declare.
    """
    layout = _layout(file)
    chunk = _find(file, size, layout)
    if chunk is None:
        return None
    start, at, form, length = chunk
    if start < at + struct.calcsize(form):
        raise AudioError(f"its header says that the sound begins at byte {start}, in the header")
    if start > size:
        return Sound(start, start - size)
    length = max(length - layout.counted, 0)
    unknown = _is_placeholder(length, start, size)
    missing = 0 if unknown else max(start + length - size, 0)
    if not unknown and not (missing and "Q" in form):
        return Sound(start, missing)
    if length == 0 and _nothing_follows(file, size, start, layout):
        return Sound(start)
    true, most = size - start + layout.counted, 256 ** struct.calcsize(form) - 1
    if true > most:
        raise AudioError(f"it does not declare its length and holds more than {most} bytes")
    if length and "Q" not in form and layout.sound:
        return Sound(start)  # libsndfile reads to the end of the file
    if start > _LONGEST_HEAD:
        raise AudioError(f"its sound begins after byte {_LONGEST_HEAD}, and no length is declared")
    file.seek(0)
    head = bytearray(file.read(start))
    struct.pack_into(form, head, at, true)
    return Sound(start, missing, bytes(head))


def _layout(file: BinaryIO) -> _Layout:
    file.seek(0)
    return _LAYOUTS[file.read(4)]


def _find(file: BinaryIO, size: int, layout: _Layout) -> tuple[int, int, str, int] | None:
    """The chunk with the sound: byte where its content begins, byte where its length is stored, the
    `struct` format of that length, and the length."""
    if not layout.sound and size >= 12:
        file.seek(4)
        start, length = struct.unpack(">II", file.read(8))
        return start, 8, ">I", length
    position, wide = (layout.first if layout.sound else size + 1), None
    for _ in range(_MOST):
        if position > size:
            return None
        file.seek(position)
        header = file.read(layout.head)
        if len(header) < layout.head:
            return None
        start, at = position + layout.head, position + layout.name
        (length,) = struct.unpack(layout.length, header[layout.name :])
        if header.startswith(layout.sound):
            if wide and length == 0xFFFFFFFF:
                return start, *wide
            return start, at, layout.length, length
        if header.startswith(b"ds64"):  # RF64 keeps the length of its sound here
            (length_of_sound,) = struct.unpack("<8xQ", file.read(16).ljust(16, b"\0"))
            wide = start + 8, "<Q", length_of_sound
        position = start + max(length - layout.counted, 0)
        position += -position % layout.align
    raise AudioError(f"there is no sound among its first {_MOST} chunks")


def _is_placeholder(length: int, start: int, size: int) -> bool:
    """Whether a length is a placeholder: unknown, or that of the whole file."""
    if length == 0 or size - length in (0, 8, 24, 32) or length >= 2**62:
        return True
    if start + length <= size:
        return False
    below = -length % 2**30  # near a multiple of 1 GiB, as 0x7FFFF000 and 0xFFFFFFFF - 36 are
    near = length >= 2**29 and (below <= 2**20 or below >= 2**30 - 2**12)
    offset = (length + 128) % 10**7  # near a multiple of ten million, plus or minus a header
    return near or (length >= 5 * 10**8 and offset <= 256)


def _nothing_follows(file: BinaryIO, size: int, start: int, layout: _Layout) -> bool:
    """Whether the file ends at `start`, or another chunk begins there: the sound is empty."""
    file.seek(start)
    header = file.read(layout.head)
    if len(header) < layout.head or not layout.sound:
        return start >= size
    (length,) = struct.unpack(layout.length, header[layout.name :])
    return header[:4].strip().isalnum() and start + length <= size
