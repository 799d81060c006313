"""Names: recorded names (from files) in contrast to typed ones; names as parts of paths and ids.

A part of a path is safe on every system if `problem` returns None, and two parts are distinct on
every system if their `key` differs. `part` turns any name into such a part; different names give
different parts.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shlex
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any

from pydantic import WrapValidator

MAX_LENGTH = 120  # characters of a part of a path
MAX_BYTES = 200  # of it in UTF-8: file systems allow 255, and suffixes are added
_RESERVED = re.compile(  # devices of Windows
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])([. ].*)?", re.I | re.S
)
_OPTIONS = re.compile(  # a codec's name as `audiotok` writes it: base, hash of a file, options
    r"(?P<base>[a-z0-9._-]+)(@(?P<hash>[0-9a-f]{8}))?(:(?P<options>[a-z0-9._,=-]*=[a-z0-9._,=-]*))?"
)


class Recorded(str):
    """A name read from a file: of a codec, a corpus, a network.

    A typed name may be a path or a name on the Hugging Face Hub: code runs and files are
    downloaded. A recorded name is only looked up among codecs, corpora and networks that are on
    this machine already.

    Args:
        name: as in the file.
        source: the file, for messages.
        typed: what the user can type to allow the name; `{}` stands for the name.
    """

    source: str
    typed: str

    def __new__(cls, name: str, source: str = "a file", typed: str = "-t {}") -> Recorded:
        recorded = super().__new__(cls, name)
        recorded.source, recorded.typed = source, typed
        return recorded

    def refusal(self, what: str, why: str) -> str:
        """The message why this name is not used, and what to type to allow it."""
        shown = ascii(str(self)[:200])
        command = self.typed.replace("{}", shlex.quote(shown[1:-1]))
        return (
            f"{self.source} names the {what} {shown}, {why}: a file may not choose code to run or "
            f"files to fetch; if you want it, type {command}"
        )


def _kept(name: Any, validate: Any) -> str:
    return name if isinstance(name, Recorded) else validate(name)


Name = Annotated[str, WrapValidator(_kept)]  # a field of a schema that stays Recorded


# --- parts of paths --------------------------------------------------------------------------


def problem(name: object, extra: str = "._-") -> str | None:
    """Why a text is not safe as the name of a file or folder on every system; None if it is.

    Args:
        extra: allowed characters besides letters, their marks and digits of any script.
    """
    if not isinstance(name, str) or not name:
        return "it is no text"
    if len(name) > MAX_LENGTH or len(name.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return f"it is longer than {MAX_LENGTH} characters or {MAX_BYTES} bytes"
    bad = next((one for one in name if not _plain(one, extra)), None)
    if bad is not None:
        return f"it has the character U+{ord(bad):04X}"
    if unicodedata.normalize("NFC", name) != name:
        return "it is not in the Unicode normal form NFC"
    if not _starts(name[0]):
        return "it does not start with a letter or digit"
    if name.endswith("."):
        return "it ends with a dot"
    return "it is a device on Windows" if _RESERVED.fullmatch(name) else None


def _plain(character: str, extra: str) -> bool:
    return character in extra or unicodedata.category(character)[0] in "LMN"


def _starts(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN"


def key(name: str) -> str:
    """A key that is equal for names that some file system does not distinguish, by case or Unicode
    normalisation."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", folded)


def digest(name: str, digits: int) -> str:
    """The first `digits` hexadecimal digits of the hash of a name."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:digits]


def cleaned(name: str, filler: str, room: int, extra: str = "._-") -> str:
    """A name changed so that `problem` returns None, perhaps empty, with `room` characters left for
    a suffix. Each run of forbidden characters is replaced by one `filler`."""
    text = unicodedata.normalize("NFC", name)
    runs = itertools.groupby(text, lambda one: _plain(one, extra))
    text = "".join("".join(run) if good else filler for good, run in runs)
    while text and not _starts(text[0]):
        text = text[1:]
    text = text[: MAX_LENGTH - room]
    while len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES - room:
        text = text[:-1]
    return text.replace(".", filler) if _RESERVED.fullmatch(text) else text


def part(name: str) -> str:
    """A name as a part of a path, deterministic; different names give different parts.

    Lower-case names of safe characters are unchanged, and so are names of codecs, except that `+`
    replaces `@` and `:` (`rvq-small:codebooks=4` is `rvq-small+codebooks=4`). Any other name gets
    the suffix `++` and the hash of the whole name, so that similar names stay distinct.
    """
    match = _OPTIONS.fullmatch(name)
    plain = "+".join(filter(None, match.group("base", "hash", "options"))) if match else name
    if key(name) == name and problem(plain, "._-=,+" if match else "._-=,") is None:
        return plain
    return f"{cleaned(name, '+', 14, '._-=,') or 'name'}++{digest(name, 12)}"


def inside(folder: Path, value: str) -> Path:
    """The path `value`, read from a file, relative to `folder`.

    Raises:
        ValueError: it is absolute or leads out of the folder, or has unprintable characters.
    """
    if not value.isprintable():
        raise ValueError("has unprintable characters: expected a path")
    if PurePosixPath(value).is_absolute() or PureWindowsPath(value).drive or value[:1] == "\\":
        raise ValueError(f"is an absolute path: give it relative to the folder {folder}")
    if ".." in re.split(r"[/\\]", value):
        raise ValueError(f"leads out of the folder {folder}: move the file in")
    return folder / value


def twice(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two of these names that some file system does not distinguish, or None."""
    seen: dict[str, str] = {}
    for name in names:
        if (folded := key(name)) in seen:
            return seen[folded], name
        seen[folded] = name
    return None


def leads_out(path: Path, *folders: Path) -> bool:
    """Whether a path, after following links, is in none of these folders."""
    real = Path(os.path.realpath(path))
    return not any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)
