"""Speech recognisers, and the errors they make: one class per file, `transcribe(audio) -> str`.

How texts are compared stands in `audiotok.judges.asr.text`.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

import torch

from audiotok.errors import AudiotokError
from audiotok.judges.asr.text import character_errors, normalise, normaliser, scripts, word_errors
from audiotok.sound.audio import Audio

__all__ = [
    "PIECE", "SAMPLE_RATE", "SHORTEST", "Recogniser", "character_errors", "fingerprint", "mono",
    "normalise", "normaliser", "pieces", "word_errors", "wrong_script",
]  # fmt: skip

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
        script: of the language it recognises, as `text.scripts` names it; None: any.
    """

    name: str
    label: str
    identity: dict[str, str]
    script: str | None

    def missing(self) -> AudiotokError | None:
        """The error that says what is not on this machine; None where all is."""

    def transcribe(self, audio: Audio) -> str:
        """The words of `audio`, any rate and channels, as the recogniser writes them."""


def wrong_script(recogniser: Recogniser, text: str) -> str | None:
    """One line saying that most letters of `text` are none that this recogniser writes, or None."""
    found = scripts(text).most_common(1)
    if recogniser.script is None or not found or recogniser.script == (script := found[0][0]):
        return None
    return (
        f"{recogniser.name} recognises speech in {recogniser.script} script, the text "
        f"{text[:40]!r} is in {script}: choose a recogniser of that language (asr_ctc:MODEL)"
    )


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
