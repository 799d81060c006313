"""Words to phones by the CMU Pronouncing Dictionary, as pocketsphinx ships it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from audiotok.errors import CorpusError, MissingPackageError
from audiotok.judges.asr import normalise

PHONES = (
    *("AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH"),
    *("IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH"),
    *("UH", "UW", "V", "W", "Y", "Z", "ZH"),
)
BLANK = 0  # of CTC; phone i of PHONES is class i + 1


def classes_of(text: str) -> list[int]:
    """The classes of the first pronunciation of each word.

    Raises:
        CorpusError: a word that the dictionary lacks.
    """
    known = _dictionary()
    words = normalise(text).split()
    lacking = [word for word in words if word not in known]
    if lacking:
        raise CorpusError(f"the CMU dictionary has no {lacking[0]!r}, in {text!r}")
    return [PHONES.index(phone) + 1 for word in words for phone in known[word]]


@cache
def _dictionary() -> dict[str, list[str]]:
    try:
        from pocketsphinx import get_model_path
    except ImportError as error:
        raise MissingPackageError("pocketsphinx", "asr", "pronunciations") from error
    path = Path(get_model_path()) / "en-us" / "cmudict-en-us.dict"
    found: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *phones = line.split()
        found.setdefault(word, phones)  # "word(2)" is another pronunciation
    return found
