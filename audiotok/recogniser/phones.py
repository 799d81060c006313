"""Words to phones by the CMU Pronouncing Dictionary, as pocketsphinx ships it."""

from __future__ import annotations

from audiotok.errors import CorpusError
from audiotok.judges.asr import normalise
from audiotok.judges.asr.sphinx import dictionary

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
    known = dictionary()
    words = normalise(text).split()
    lacking = [word for word in words if word not in known]
    if lacking:
        raise CorpusError(f"the CMU dictionary has no {lacking[0]!r}, in {text!r}")
    return [PHONES.index(phone) + 1 for word in words for phone in known[word]]
