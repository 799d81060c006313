"""Comparison of texts: the text normaliser of all error rates, error counts, and scripts.

Texts are compared after one fixed normaliser, "basic-2": Unicode NFKC, full case folding, and every
character except letters, digits, the marks on them and apostrophes within a word becomes a space.
Marks (vowel signs, tones, vowel points) belong to their letter; invisible characters (joiners, soft
hyphens, variation selectors) are deleted, and all forms of the apostrophe are equal. Case folding
does not depend on the language: Turkish İ equals i, while I and ı differ. Numbers and abbreviations
are not expanded: '2' and 'two', 'Mr.' and 'mister', "don't" and 'do not' differ.

"basic-1", of earlier versions, replaced marks by spaces. Both give the same for ASCII texts (except
for an apostrophe next to an underscore).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

import jiwer

APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bc\u2032\u00b4\uff07"), "'")
SPACELESS = ("THAI", "LAO", "KHMER", "MYANMAR", "CJK", "HIRAGANA", "KATAKANA", "TIBETAN", "YI")
ZERO_WIDTH_SPACE = "\u200b"  # separates words of Thai or Khmer, so it is a space
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\u20d0-\u20ff]"
)


def normaliser(texts: Iterable[str | None]) -> str:
    """The name of the normaliser for these texts: see the module."""
    return "basic-1" if all((text or "").isascii() for text in texts) else "basic-2"


def normalise(text: str) -> str:
    """`text` as words separated by single spaces, see the module."""
    text = text.translate(APOSTROPHES).replace(ZERO_WIDTH_SPACE, " ")
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    text = unicodedata.normalize("NFKC", text).replace("i\u0307", "i")  # the dot of İ, folded
    kept, inside = [], False  # inside: the last character belongs to a word
    for character in text:
        kind = unicodedata.category(character)
        if kind == "Cf" or 0xE0100 <= ord(character) <= 0xE01EF:
            continue
        inside = character.isalnum() or (inside and (kind[0] == "M" or character == "'"))
        kept.append(character if inside else " ")
    words = re.sub("'{2,}", " ", "".join(kept)).split()
    return " ".join(filter(None, (word.strip("'") for word in words)))


def word_errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """(substitutions + deletions + insertions, words of the reference), after `normalise`."""
    reference, hypothesis = normalise(reference), normalise(hypothesis)
    if not reference:
        return len(hypothesis.split()), 0
    alignment = jiwer.process_words(reference, hypothesis)
    return alignment.substitutions + alignment.deletions + alignment.insertions, len(
        reference.split()
    )


def character_errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """(substitutions + deletions + insertions, characters of the reference), after `normalise`.

    A character is a Unicode code point, including marks and the space between two words, as in
    jiwer and most published CERs.
    """
    reference, hypothesis = normalise(reference), normalise(hypothesis)
    if not reference:
        return len(hypothesis), 0
    alignment = jiwer.process_characters(reference, hypothesis)
    return alignment.substitutions + alignment.deletions + alignment.insertions, len(reference)


def scripts(text: str) -> Counter[str]:
    """The number of letters of each script in a text, such as "LATIN" or "CJK".

    A script is the first word of a letter's name in Unicode.
    """
    if text.isascii():
        return Counter({"LATIN": sum(map(str.isalpha, text))})
    letters = (unicodedata.name(letter, "?") for letter in normalise(text) if letter.isalpha())
    return Counter(name.split()[0].partition("-")[0] for name in letters)


def is_spaceless(text: str) -> bool:
    """Whether most letters are of scripts without spaces between words (Thai, Chinese, ...)."""
    counted = scripts(text)
    return 2 * sum(counted[script] for script in SPACELESS) > counted.total()
