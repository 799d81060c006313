"""Whether a codec was trained on the clips it is measured on, by its card. Imports nothing.

The names in `training_data` of the card are compared with the name of the corpus, as tables show
it. The same corpus is a match even if a split is not named. A codec is clean only if all its
training corpora and the corpus it is measured on are in CORPORA and share no source; an unlisted
name means unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

CONTAMINATED, RELATED, UNKNOWN, CLEAN = "†", "‡", "?", ""
NOTES = {
    CONTAMINATED: "trained on this very split of the corpus",
    RELATED: "trained on another or an unnamed split of this corpus, or on another corpus of the "
    "same recordings",
    UNKNOWN: "not known whether it was trained on these recordings: its card does not say on what "
    "it was trained, or one of the two corpora is not among those whose sources we know",
}

# {corpus: (pattern of its name, or of a derived corpus with the same splits; its sources)}
CORPORA: dict[str, tuple[str, tuple[str, ...]]] = {
    "LibriSpeech": (
        r"(?<!multilingual )libri ?speech|libri ?tts(?: r)?|libri ?\d? ?mix|libri ?css",
        ("LibriVox",),
    ),
    "Libri-Light": (r"libri ?light", ("LibriVox",)),
    "Libriheavy": (r"libri ?heavy", ("LibriVox",)),
    "MLS": (r"mls|multilingual libri ?speech", ("LibriVox",)),
    "LJSpeech": (r"lj ?speech", ("LibriVox",)),
    "Hi-Fi TTS": (r"hi ?fi ?tts", ("LibriVox",)),
    "M-AILABS": (r"m ?ailabs", ("LibriVox",)),
    "CSS10": (r"css ?10", ("LibriVox",)),
    "GigaSpeech": (r"giga ?speech", ("LibriVox", "YouTube", "podcasts")),
    "WenetSpeech": (r"wenet ?speech", ("WenetSpeech", "YouTube", "podcasts")),
    "Emilia": (r"emilia", ("Emilia", "YouTube", "podcasts")),
    "YODAS": (r"yodas ?\d?", ("YODAS", "YouTube")),
    "VoxCeleb1": (r"vox ?celeb(?: ?1)?(?! ?2)", ("VoxCeleb1", "YouTube")),
    "VoxCeleb2": (r"vox ?celeb(?: ?2)?(?! ?1)", ("VoxCeleb2", "YouTube")),
    "VoxPopuli": (r"vox ?populi", ("European Parliament",)),
    "Common Voice": (r"common ?voice", ("Common Voice",)),
    "FLEURS": (r"fleurs", ("FLEURS",)),
    "TED-LIUM": (r"ted ?lium", ("TED", "YouTube")),
    "SPGISpeech": (r"spgi ?speech", ("earnings calls",)),
    "AISHELL": (r"ai ?shell", ("AISHELL",)),
    "TIMIT": (r"timit", ("TIMIT",)),
    "WSJ": (r"wsj ?\d?|wall street journal", ("WSJ",)),
    "Switchboard": (r"switchboard", ("Switchboard",)),
    "Fisher": (r"fisher", ("Fisher",)),
    "VCTK": (r"vctk|voice ?bank", ("VCTK",)),
    "DAPS": (r"daps", ("DAPS",)),
    "Speech Commands": (r"(?:google )?speech ?commands?", ("Speech Commands",)),
    "FSDD": (r"fsdd|free spoken digits?", ("FSDD",)),
    "DNS Challenge": (
        r"dns ?challenge",
        ("LibriVox", "VCTK", "AudioSet", "YouTube", "Freesound", "DEMAND"),
    ),
    "DEMAND": (r"demand", ("DEMAND",)),
    "AudioSet": (r"audio ?set", ("AudioSet", "YouTube", "published music")),
    "AudioCaps": (r"audio ?caps", ("AudioSet", "YouTube")),
    "MusicCaps": (r"music ?caps", ("AudioSet", "YouTube", "published music")),
    "VGGSound": (r"vgg ?sound", ("VGGSound", "YouTube")),
    "WavCaps": (r"wav ?caps", ("AudioSet", "YouTube", "Freesound", "BBC")),
    "FSD50K": (r"fsd ?50k", ("Freesound",)),
    "Clotho": (r"clotho", ("Freesound",)),
    "UrbanSound": (r"urban ?sound ?(?:8k)?", ("Freesound",)),
    "ESC": (r"esc ?(?:10|50)", ("Freesound",)),
    "FUSS": (r"fuss", ("Freesound",)),
    "Jamendo": (r"(?:mtg ?)?jamendo", ("Jamendo", "free music")),
    "FMA": (r"fma|free music archive", ("FMA", "free music")),
    "MUSDB": (r"musdb(?: ?18)?(?: ?hq)?", ("MUSDB",)),
    "GTZAN": (r"gtzan", ("GTZAN", "published music")),
    "MSD": (r"msd|million song dataset", ("MSD", "published music")),
    "Kokoro": (r"kokoro(?: ?82m)?", ("speech synthesised by Kokoro",)),
    "bundled": (r"bundled", ("synthesisers of audiotok's bundled corpus",)),
}
# Two corpora of these sources may share recordings.
OPEN_SOURCES = {"YouTube", "podcasts", "published music", "free music"}

_SPLIT = re.compile(
    r"\b(train|dev|val|test|eval)(?:ing|elopment|idation|id|uation)?\b"
    r"(?: (clean|other)\b)?(?: (\d+)\b)?"
)
_SPLITS = {"val": "dev"}  # synonyms
# Words in a name that are neither a corpus nor a split, and do not name another corpus.
_OTHER_WORDS = re.compile(
    r"\b(?:v?\d+(?:k|h|hz|khz|hours?|million)?|v|h|hours?|hz|khz|k|million|clips?|utterances?|one|of"
    r"|it|each|all|the|from|in|readers?|speakers?|languages?|english|german|french|spanish|mandarin"
    r"|chinese|speech|music|audio|noise|clean|other|full|mini|small|large|tiny|sample|subset|part"
    r"|first|words|split|set|dataset|corpus|hq|wav|flac|lm)\b"
)
_UNSPECIFIED = re.compile(
    r".*\b(?:unknown|none named|in house|inhouse|internal|private|proprietary|own|various|others?"
    r" (?:data|corpora|sources)|etc|more|undisclosed|not disclosed|self collected|web|crawled)\b.*"
)
_SEPARATOR = re.compile(r"\s*(?:;|\+|&|\band\b|\bund\b|\bwith\b)\s*", re.I)


class _Name(NamedTuple):
    """The parts of a name: corpora (keys of CORPORA, and unlisted names), their sources, splits,
    and whether all of them are in CORPORA."""

    corpora: frozenset[str]
    sources: frozenset[str]
    splits: tuple[str, ...]
    is_complete: bool


def mark(training_data: Sequence[str], corpus: str) -> str:
    """The mark of a codec trained on `training_data` when it is measured on `corpus`.

    Args:
        training_data: of the card, e.g. ("LibriSpeech train-clean-100", "AudioSet").
        corpus: its name, e.g. "librispeech/test-clean".

    Returns:
        One of CONTAMINATED, RELATED, UNKNOWN, CLEAN: the most severe one of all entries.
    """
    entries = [part for entry in training_data for part in _SEPARATOR.split(entry)] or ["unknown"]
    marks = {_mark(entry, corpus) for entry in entries}
    return next(mark for mark in (CONTAMINATED, RELATED, UNKNOWN, CLEAN) if mark in marks)


def notes(marks: Iterable[str]) -> list[str]:
    """One line for each mark in use, the most severe first."""
    used = set(marks)
    return [f"{mark} {text}" for mark, text in NOTES.items() if mark in used]


def _mark(entry: str, corpus: str) -> str:
    if not (words := _words(entry)):
        return UNKNOWN
    trained, measured = _parsed(words), _parsed(_words(corpus))
    if words == _words(corpus) and trained.corpora:
        return CONTAMINATED
    if trained.corpora & measured.corpora:
        overlap = any(_within(a, b) for a in trained.splits for b in measured.splits)
        return CONTAMINATED if overlap else RELATED
    common = trained.sources & measured.sources
    if common - OPEN_SOURCES:
        return RELATED
    return CLEAN if trained.is_complete and measured.is_complete and not common else UNKNOWN


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def _parsed(words: str) -> _Name:
    matched = {name for name, (pattern, _) in CORPORA.items() if _pattern(pattern).search(words)}
    rest = words
    for name in matched:
        rest = _pattern(CORPORA[name][0]).sub(" ", rest)
    splits = tuple(map(_split, _SPLIT.finditer(words)))
    unspecified = bool(_UNSPECIFIED.fullmatch(rest))
    rest = _OTHER_WORDS.sub(" ", _SPLIT.sub(" ", rest)).replace(" ", "")
    sources = frozenset(source for name in matched for source in CORPORA[name][1])
    corpora = frozenset(matched | ({rest} if rest and not unspecified else set()))
    return _Name(corpora, sources, splits, bool(matched) and not rest and not unspecified)


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})(?:\b|(?=\d))")


def _split(match: re.Match[str]) -> str:
    first, *details = match.groups()
    return " ".join([_SPLITS.get(first, first), *filter(None, details)])


def _within(first: str, second: str) -> bool:
    """Whether the splits are equal, or one is part of the other: "test other" is part of "test"."""
    return f"{first} ".startswith(f"{second} ") or f"{second} ".startswith(f"{first} ")
