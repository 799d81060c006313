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

from audiotok.audio import Audio

NORMALISER = "basic-1"
SAMPLE_RATE = 16_000  # Hz; every recogniser here listens at this rate


class Recogniser(Protocol):
    """What hears words in a sound."""

    name: str

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


def mono(audio: Audio) -> Audio:
    """One channel at SAMPLE_RATE."""
    return audio.to_channels(1).resample(SAMPLE_RATE)


def fingerprint(audio: Audio) -> str:
    """Hash of the samples and the rate: equal sounds need to be heard only once."""
    waveform = audio.waveform.to(torch.float32).contiguous().numpy()
    return hashlib.sha256(waveform.data).hexdigest() + f"@{audio.sample_rate}x{audio.channels}"
