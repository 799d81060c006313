"""The format of a sound file, and how much sound it declares.

libsndfile reads a truncated file without an error, guesses the length of some MP3 files, and reads
only the first of several concatenated files. Here the lengths declared in headers, frames and pages
are read without decoding, so that `audiotok.sound.decoding` can check them.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from audiotok.errors import AudioError
from audiotok.sound import chunks, mpeg, ogg

SUFFIXES = {  # of files that libsndfile reads, and the format that each stands for
    ".wav": "WAV", ".flac": "FLAC", ".ogg": "Ogg", ".oga": "Ogg", ".opus": "Ogg Opus",
    ".mp3": "MP3", ".aif": "AIFF", ".aiff": "AIFF", ".aifc": "AIFF", ".w64": "W64", ".caf": "CAF",
    ".au": "AU", ".snd": "AU",
}  # fmt: skip
MEDIA_SUFFIXES = {  # of files that need FFmpeg
    ".m4a": "MP4", ".mp4": "MP4", ".m4b": "MP4", ".mov": "MP4", ".3gp": "MP4",
    ".webm": "Matroska", ".mka": "Matroska", ".mkv": "Matroska", ".aac": "AAC",
    ".wma": "ASF", ".amr": "AMR", ".wv": "WavPack",
}  # fmt: skip
_MEDIA = (  # position of a signature, the signature, and the format
    (4, b"ftyp", "MP4"), (0, b"\x1a\x45\xdf\xa3", "Matroska"), (0, b"#!AMR", "AMR"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF"), (0, b"wvpk", "WavPack"),
    (0, b"\xff\xf1", "AAC"), (0, b"\xff\xf9", "AAC"),
)  # fmt: skip
ALLOW_TRUNCATED = "AUDIOTOK_ALLOW_TRUNCATED"  # environment variable: processes inherit it
HOW_TO_ALLOW = "--allow-truncated reads the rest (in Python: read(path, allow_truncated=True))"

Pieces = tuple[bytes | tuple[int, int], ...]  # bytes, or [start, stop) of the file


@dataclass(frozen=True)
class Container:
    """What the content of a sound file declares.

    Attributes:
        name: of the format.
        parts: each is decoded as a file of its own, one after another; None is the whole file,
            unchanged.
        media: whether FFmpeg has to read it, since libsndfile cannot.
        md5: checksum of the samples, and bits per sample; None if the file has none.
        missing: how the file is cut short; "" if it is not.
    """

    name: str
    parts: tuple[Pieces | None, ...] = (None,)
    media: bool = False
    md5: tuple[bytes, int] | None = None
    missing: str = ""


def truncation_allowed() -> bool:
    """Whether files that are cut short are read by default."""
    return os.environ.get(ALLOW_TRUNCATED, "") not in ("", "0")


def sniff(path: Path) -> str | None:
    """The format of a file from its first bytes; None if it is no known sound format."""
    with open(path, "rb") as file:
        return _format(file)


def describe(path: Path, allow_truncated: bool = False) -> Container:
    """Read what a sound file declares, without decoding it.

    Args:
        allow_truncated: accept a file that is cut short.

    Raises:
        AudioError: missing, not a regular file, not a sound file, a format that does not match
            its extension, damaged, or cut short.
    """
    try:
        if not path.exists():
            raise AudioError(f"{path} does not exist: expected a sound file")
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "no regular file"
            raise AudioError(f"{path} is {kind}: expected a sound file")
        size = path.stat().st_size
        if size == 0:
            raise AudioError(f"{path} is empty: it holds 0 bytes")
        with open(path, "rb") as file:
            name = _format(file)
            if name is None:
                raise AudioError(
                    f"{path} is not a sound file: its content is not WAV, FLAC, Ogg, MP3, AIFF, "
                    "W64, CAF, AU, MP4 or WebM"
                )
            suffix = path.suffix.lower()
            expected = SUFFIXES.get(suffix, "") or MEDIA_SUFFIXES.get(suffix, "")
            if not name.startswith(expected):
                raise AudioError(
                    f"{path} is mislabelled: {path.suffix} stands for {expected}, but its content "
                    f"is {name}; rename it"
                )
            container = _contents(file, size, name, path)
    except OSError as reason:
        raise AudioError(f"{path} cannot be opened: {reason.strerror or reason}") from reason
    if container.missing and not allow_truncated:
        raise AudioError(f"{path} is cut short: {container.missing}; {HOW_TO_ALLOW}")
    return container


def _contents(file: BinaryIO, size: int, name: str, path: Path) -> Container:
    try:
        if name == "FLAC":
            return Container(name, md5=_md5(file))
        if name == "MP3":
            return _mp3(file, size)
        if name.startswith("Ogg"):
            return _ogg(file, size, name)
        if name in SUFFIXES.values():
            return _chunks(file, size, name)
    except AudioError as reason:
        raise AudioError(
            f"{path} cannot be decoded as {name}, it is damaged or cut short: {reason}"
        ) from reason
    return Container(name, media=True)


def _format(file: BinaryIO) -> str | None:
    head = file.read(64)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return "WAV"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    if head[:4] == b"riff" and head[24:28] == b"wave":
        return "W64"
    if head[:4] == b"caff":
        return "CAF"
    if head[:4] == b".snd":
        return "AU"
    if head[:4] == b"OggS":
        return "Ogg Opus" if b"OpusHead" in head + file.read(4096) else "Ogg"
    if head[:3] == b"ID3":
        file.seek(mpeg.tag(head))
        return "FLAC" if file.read(4) == b"fLaC" else "MP3"
    if head[:4] == b"fLaC":
        return "FLAC"
    for position, mark, name in _MEDIA:
        if head[position:].startswith(mark):
            return name
    return "MP3" if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 else None


def _md5(file: BinaryIO) -> tuple[bytes, int] | None:
    """The MD5 of a FLAC file's samples and the bits per sample; None if its encoder left it out."""
    file.seek(0)
    file.seek(mpeg.tag(file.read(64)))
    head = file.read(42)  # the mark, and the first block of metadata
    if len(head) < 42 or not any(head[26:42]):
        return None
    bits = (struct.unpack(">H", head[20:22])[0] >> 4 & 31) + 1
    return head[26:42], bits


def _mp3(file: BinaryIO, size: int) -> Container:
    encodings, missing = mpeg.encodings(file, size)
    if not any(encoding.frames for encoding in encodings):
        raise AudioError("it holds no whole frame")
    if len(encodings) == 1 and encodings[0].frames == encodings[0].declared:
        return Container("MP3", missing=missing)
    parts = tuple(tuple(encoding.pieces()) for encoding in encodings if encoding.frames)
    return Container("MP3", parts, missing=missing)


def _ogg(file: BinaryIO, size: int, name: str) -> Container:
    links, missing = ogg.links(file, size)
    links = [link for link in links if link.codec]
    if not links or (len(links) == 1 and links[0].ended and links[0].ranges == [[0, size]]):
        return Container(name, missing=missing)
    return Container(name, tuple(tuple(one.pieces(file)) for one in links), missing=missing)


def _chunks(file: BinaryIO, size: int, name: str) -> Container:
    sound = chunks.sound(file, size)
    if sound is None:
        return Container(name)
    missing = f"{sound.missing} bytes that it declares are missing" if sound.missing else ""
    parts = (None,) if sound.head is None else ((sound.head, (sound.start, size)),)
    return Container(name, parts, missing=missing)
