"""Durations of the phones of a text: a file that can be edited, and given to a model.

A text file with a line `PHONE<TAB>SECONDS` for each phone, SIL for silence. `audiotok say
--save-durations` writes one. Silence may be added or removed between words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from torch import Tensor

from audiotok.errors import SpeechError
from audiotok.system.files import replacing
from audiotok.tts import alignment, phones
from audiotok.tts.text import SILENCE

MAX_SECONDS = 60.0  # of all phones


@dataclass(frozen=True)
class Durations:
    """Names of phones and the seconds of each.

    Raises:
        SpeechError: a name is no phone, or a duration is not above 0 and finite.
    """

    phones: tuple[str, ...]
    seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.phones or len(self.phones) != len(self.seconds):
            raise SpeechError(
                f"{len(self.seconds)} durations for {len(self.phones)} phones: expected one each"
            )
        phones.ids(self.phones)
        for name, seconds in zip(self.phones, self.seconds, strict=True):
            if not (math.isfinite(seconds) and seconds > 0):
                raise SpeechError(f"the phone {name} lasts {seconds:g} s: expected more than 0")
        if sum(self.seconds) > MAX_SECONDS:
            raise SpeechError(
                f"the phones last {sum(self.seconds):.1f} s: expected at most {MAX_SECONDS:g} s"
            )

    def check(self, expected: Sequence[str]) -> None:
        """Raises SpeechError unless these are the phones of the text, silence aside."""
        own, text = ([p for p in names if p != SILENCE] for names in (self.phones, expected))
        if own != text:
            place = next(
                (n for n, (a, b) in enumerate(zip(own, text, strict=False)) if a != b),
                min(len(own), len(text)),
            )
            actual, wanted = (" ".join(p[place : place + 3]) or "the end" for p in (own, text))
            raise SpeechError(
                f"the durations are of other phones than the text: at phone {place + 1} they have "
                f"{actual}, the text has {wanted}; --save-durations writes a file for a text"
            )

    def units(self, unit: float) -> Tensor:
        """Whole units of `unit` seconds of each phone, (N,), each 1 or more."""
        ends = list(accumulate(self.seconds))
        count = max(len(self.phones), round(ends[-1] / unit))
        return alignment.durations([0.0, *ends[:-1]], count, 1 / unit)


def read(path: str | Path) -> Durations:
    """The durations of a file.

    Raises:
        SpeechError: it cannot be read, or a line is not a phone and a number.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as reason:
        raise SpeechError(f"{path} cannot be read: {reason}") from reason
    names, seconds = [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            name, value = line.split()
            names.append(name)
            seconds.append(float(value))
        except ValueError:
            raise SpeechError(
                f"{path}, line {number}: {line[:40]!r} is not a phone and its seconds, as "
                "'AH<TAB>0.08'"
            ) from None
    try:
        return Durations(tuple(names), tuple(seconds))
    except SpeechError as error:
        raise SpeechError(f"{path}: {error}") from None


def write(path: str | Path, durations: Durations) -> None:
    """Writes the file that `read` reads."""
    pairs = zip(durations.phones, durations.seconds, strict=True)
    content = "".join(f"{name}\t{seconds:.3f}\n" for name, seconds in pairs)
    with replacing(path, SpeechError) as file:
        file.write(content.encode())
