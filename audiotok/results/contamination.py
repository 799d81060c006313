"""Whether a codec was trained on what it is measured on, by the names on its card. Imports nothing.

What a card says (`training_data`) is compared with the name of the corpus, as tables show it. The
rule is blunt on purpose: a name that says no split, or only part of one, is held against the codec.
A folder whose name names no corpus cannot be found in anybody's training data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

CONTAMINATED, RELATED, UNKNOWN, CLEAN = "†", "‡", "?", ""
NOTES = {
    CONTAMINATED: "trained on this very split of the corpus",
    RELATED: "trained on another or an unnamed split of this corpus, or on another corpus of the "
    "same recordings",
    UNKNOWN: "its card does not say what it was trained on",
}

# The words that name a corpus -> where its recordings come from.
ORIGINS = {
    r"libri ?speech": ("LibriVox",),
    r"libri ?tts(?: r)?": ("LibriVox",),
    r"libri ?light": ("LibriVox",),
    r"libri ?heavy": ("LibriVox",),
    r"libri ?\d? ?mix": ("LibriVox",),
    r"mls|multilingual librispeech": ("LibriVox",),
    r"dns challenge(?: \d)?": ("LibriVox", "AudioSet", "Freesound"),
    r"common ?voice": ("Common Voice",),
    r"audio ?set": ("AudioSet",),
    r"audio ?caps": ("AudioSet",),
    r"music ?caps": ("AudioSet",),
    r"fsd ?50k": ("Freesound",),
    r"esc ?(?:10|50)": ("Freesound",),
    r"fuss": ("Freesound",),
    r"(?:mtg )?jamendo": ("Jamendo",),
    r"musdb(?: ?18)?(?: ?hq)?": ("MUSDB",),
    r"fma": ("FMA",),
    r"vctk|voice ?bank": ("VCTK",),
    r"gtzan": ("GTZAN",),
    r"emilia": ("Emilia",),
}
_SPLIT = re.compile(r"\b(train|dev|valid|validation|test|eval)\b(?: (clean|other)\b)?(?: (\d+)\b)?")
_NAMELESS = re.compile(r"[\d., ]*(?:k|million)? ?(?:hours?|h)?|unknown.*|none named.*", re.I)


def mark(training_data: Sequence[str], corpus: str) -> str:
    """The sign of a codec trained on `training_data` when it is measured on `corpus`.

    Args:
        training_data: of the card, e.g. ("LibriSpeech train-clean-100", "AudioSet").
        corpus: its name, e.g. "librispeech/test-clean".

    Returns:
        One of CONTAMINATED, RELATED, UNKNOWN, CLEAN: the gravest that any entry earns.
    """
    found = {_compared(entry, corpus) for entry in training_data or ("unknown",)}
    return next(sign for sign in (CONTAMINATED, RELATED, UNKNOWN, CLEAN) if sign in found)


def notes(marks: Iterable[str]) -> list[str]:
    """One line for each sign in use, gravest first."""
    used = set(marks)
    return [f"{sign} {text}" for sign, text in NOTES.items() if sign in used]


def _compared(entry: str, corpus: str) -> str:
    if _NAMELESS.fullmatch(entry.strip()):
        return UNKNOWN
    trained, measured = _words(entry), _words(corpus)
    if trained == measured:
        return CONTAMINATED
    if _named(trained) & _named(measured):
        one, other = _split(trained), _split(measured)
        # "test" may be all of "test other": a part in common counts
        within = (
            one
            and other
            and (f"{one} ".startswith(f"{other} ") or f"{other} ".startswith(f"{one} "))
        )
        return CONTAMINATED if within else RELATED
    return RELATED if _origins(trained) & _origins(measured) else CLEAN


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def _named(words: str) -> set[str]:
    return {name for name in ORIGINS if re.search(rf"\b(?:{name})\b", words)}


def _origins(words: str) -> set[str]:
    return {origin for name in _named(words) for origin in ORIGINS[name]}


def _split(words: str) -> str:
    match = _SPLIT.search(words)
    return " ".join(filter(None, match.groups())) if match else ""
