"""Words to phones by the CMU Pronouncing Dictionary, in the version of pocketsphinx."""

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
        CorpusError: a word is not in the dictionary.
    """
    pronunciations = dictionary()
    words = normalise(text).split()
    missing = [word for word in words if word not in pronunciations]
    if missing:
        raise CorpusError(f"the CMU dictionary has no {missing[0]!r}, in {text!r}")
    return [PHONES.index(phone) + 1 for word in words for phone in pronunciations[word]]
