"""Text to phones: the CMU dictionary as pocketsphinx ships it, and guesses for other words.

Unknown words are guessed by `letter_to_sound`; a possessive 's follows the sound before it. Whole
numbers are read out. Silence stands at both ends and where punctuation separates words.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from audiotok.errors import SpeechError
from audiotok.judges.asr import normalise
from audiotok.judges.asr.sphinx import dictionary
from audiotok.tts import letter_to_sound

MAX_PHONES = 400  # about 35 seconds of speech
SILENCE = "SIL"
_PAUSE = re.compile(r"[.,;:!?…()\[\]\"“”]+(?=\s|$)|\s[-–—]+\s|—")
_NUMBER = re.compile(r"\d+(?:,\d{3})+(?!\d)|\d+")
_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_GROUPS = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_HISSING = {"S", "Z", "SH", "ZH", "CH", "JH"}
_VOICELESS = {"P", "T", "K", "F", "TH"}


@dataclass(frozen=True)
class Pronounced:
    """A text as it will be spoken.

    Attributes:
        phones: names, SIL among them.
        guessed: {word: its phones} of the words that are not in the dictionary.
    """

    phones: tuple[str, ...]
    guessed: dict[str, tuple[str, ...]]


def pronounce(text: str) -> Pronounced:
    """The phones of an English text.

    Raises:
        SpeechError: it has no word, a word of letters that English does not have, or more than
            MAX_PHONES phones.
    """
    phones, guessed = [SILENCE], {}
    for part in _PAUSE.split(_NUMBER.sub(_read_out, text)):
        for word in normalise(part).split():
            word_phones, known = _word(word)
            phones += word_phones
            if not known:
                guessed[word] = tuple(word_phones)
        if phones[-1] != SILENCE:
            phones.append(SILENCE)
    if len(phones) == 1:
        raise SpeechError(f"the text {text[:40]!r} has no word to speak: give letters or numbers")
    if len(phones) > MAX_PHONES:
        raise SpeechError(
            f"the text has {len(phones)} phones, expected at most {MAX_PHONES} (about 35 s of "
            "speech): speak it sentence by sentence"
        )
    return Pronounced(tuple(phones), guessed)


def pronunciations(text: str) -> dict[str, list[str]]:
    """The guessed phones of those words of `normalise(text)` that the dictionary does not have."""
    words = {word: _word(word) for word in normalise(text).split()}
    return {word: list(phones) for word, (phones, known) in words.items() if not known}


def _word(word: str) -> tuple[list[str], bool]:
    """Its phones, and whether the dictionary has them."""
    pronunciations = dictionary()
    if word in pronunciations:
        return list(pronunciations[word]), True
    if word.endswith("'s") and word[:-2] in pronunciations:
        base = pronunciations[word[:-2]]
        last = base[-1]
        ending = ["IH", "Z"] if last in _HISSING else ["S"] if last in _VOICELESS else ["Z"]
        return [*base, *ending], False
    letters = unicodedata.normalize("NFD", word)
    letters = "".join(c for c in letters if not unicodedata.combining(c))
    if not re.fullmatch(r"[a-z']*[a-z][a-z']*", letters):
        raise SpeechError(
            f"the word {word!r} cannot be spoken: only English is known, with the letters a to z "
            "and whole numbers; write the word as it sounds"
        )
    return letter_to_sound.guess(letters), False


def _read_out(match: re.Match) -> str:
    """A whole number in words, those of more than 12 digits digit by digit."""
    digits = match[0].replace(",", "")
    if len(digits) > 12 or (len(digits) > 1 and digits[0] == "0"):
        return " " + " ".join(_SMALL[int(digit)] for digit in digits) + " "
    return f" {_cardinal(int(digits))} "


def _cardinal(number: int) -> str:
    if number < 20:
        return _SMALL[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens - 2] + (f" {_SMALL[ones]}" if ones else "")
    size, name = next(group for group in _GROUPS if number >= group[0])
    count, rest = divmod(number, size)
    return f"{_cardinal(count)} {name}" + (f" {_cardinal(rest)}" if rest else "")
