"""Speech recognisers, and the errors they make: one class per file, `transcribe(audio) -> str`.

Words are compared after one fixed normaliser, NORMALISER: Unicode NFKC, lower case, every
character but letters, digits and the apostrophe inside a word becomes a space. It does not spell
out numbers nor abbreviations, so '2' and 'two' differ.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Protocol

import jiwer
import torch

from audiotok.errors import AudiotokError
from audiotok.sound.audio import Audio

NORMALISER = "basic-1"
SAMPLE_RATE = 16_000  # Hz; every recogniser here listens at this rate
PIECE = 30 * SAMPLE_RATE  # samples; what Whisper hears at once, and CTC models in bounded memory
SHORTEST = SAMPLE_RATE // 10  # samples; what is shorter is filled up with silence


class Recogniser(Protocol):
    """What hears words in a sound.

    Attributes:
        name: with its model, for descriptions.
        label: the model where it is not the recogniser's usual one, for names of tasks and columns;
            else empty.
        identity: which weights these are, where the name does not say it.
    """

    name: str
    label: str
    identity: dict[str, str]

    def missing(self) -> AudiotokError | None:
        """The error that says what is not on this machine; None where all is."""

    def transcribe(self, audio: Audio) -> str:
        """The words of `audio`, any rate and channels, as the recogniser writes them."""


def normalise(text: str) -> str:
    """`text` as words separated by single spaces, see NORMALISER."""
    text = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'")
    return " ".join(re.sub(r"(?<!\w)'|'(?!\w)|[^\w']|_", " ", text).split())


def word_errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """(substitutions + deletions + insertions, words of the reference), after `normalise`."""
    reference, hypothesis = normalise(reference), normalise(hypothesis)
    if not reference:
        return len(hypothesis.split()), 0
    found = jiwer.process_words(reference, hypothesis)
    return found.substitutions + found.deletions + found.insertions, len(reference.split())


def character_errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """(substitutions + deletions + insertions, characters of the reference), after `normalise`.

    The space between two words is a character, as in jiwer and most published CERs.
    """
    reference, hypothesis = normalise(reference), normalise(hypothesis)
    if not reference:
        return len(hypothesis), 0
    found = jiwer.process_characters(reference, hypothesis)
    return found.substitutions + found.deletions + found.insertions, len(reference)


def mono(audio: Audio) -> Audio:
    """One channel at SAMPLE_RATE."""
    return audio.to_channels(1).resample(SAMPLE_RATE)


def pieces(audio: Audio) -> list[torch.Tensor]:
    """The sound as `mono`, (L,) each, cut every PIECE samples: a word may be cut there."""
    found = list(mono(audio).waveform[0].split(PIECE))
    found[-1] = torch.nn.functional.pad(found[-1], (0, max(0, SHORTEST - len(found[-1]))))
    return found


def fingerprint(audio: Audio) -> str:
    """Hash of the samples and the rate: equal sounds need to be heard only once."""
    waveform = audio.waveform.to(torch.float32).contiguous().numpy()
    return hashlib.sha256(waveform.data).hexdigest() + f"@{audio.sample_rate}x{audio.channels}"
