"""The phones of speech models: those of the CMU dictionary, silence, and two marks.

Ids: UNKNOWN 0, for frames of unknown phones (a prompt without text) and for padding; END 1,
which follows the last phone; SIL 2, silence; then the phones of `audiotok.recogniser.phones`.
"""

from __future__ import annotations

from collections.abc import Iterable

from audiotok.errors import SpeechError
from audiotok.recogniser.phones import PHONES

UNKNOWN, END, SIL = 0, 1, 2
NAMES = ("?", "END", "SIL", *PHONES)
NUM_PHONES = len(NAMES)
_IDS = {name: number for number, name in enumerate(NAMES)}


def ids(names: Iterable[str]) -> list[int]:
    """The ids of phones and SIL, by name.

    Raises:
        SpeechError: a name is none of them.
    """
    names = list(names)
    if unknown := [name for name in names if _IDS.get(name, 0) < SIL]:
        raise SpeechError(
            f"{unknown[0]!r} is no phone of the CMU dictionary: expected SIL or one of "
            f"{' '.join(PHONES)}"
        )
    return [_IDS[name] for name in names]
