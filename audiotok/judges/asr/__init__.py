"""Speech recognisers and error rates: one class per file, `transcribe(audio) -> str`.

Texts are compared in `audiotok.judges.asr.text`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch

from audiotok.errors import AudiotokError
from audiotok.judges.asr.text import character_errors, normalise, normaliser, scripts, word_errors
from audiotok.sound.audio import Audio

if TYPE_CHECKING:
    from audiotok.data import Clip

__all__ = [
    "PIECE", "SAMPLE_RATE", "SHORTEST", "Recogniser", "character_errors", "fingerprint", "mono",
    "normalise", "normaliser", "pieces", "unfit", "word_errors", "wrong_script",
]  # fmt: skip

SAMPLE_RATE = 16_000  # Hz, the input rate of every recogniser here
PIECE = 30 * SAMPLE_RATE  # samples; the input of Whisper, and CTC models in bounded memory
SHORTEST = SAMPLE_RATE // 10  # samples; shorter sounds are padded with silence


class Recogniser(Protocol):
    """A speech recogniser.

    Attributes:
        name: with its model, for descriptions.
        label: the model if it is not the default, for names of tasks and columns; else empty.
        identity: of the weights, if the name does not determine them.
        languages: ISO 639 codes of the languages that it recognises; None: unknown.
        script: of its language, as `text.scripts` names it; None: any.
    """

    name: str
    label: str
    identity: dict[str, str]
    languages: Sequence[str] | None
    script: str | None

    def missing(self) -> AudiotokError | None:
        """An error with what is missing on this machine; None if nothing is."""

    def transcribe(self, audio: Audio, language: str | None = None) -> str:
        """The words of `audio`, any rate and channels, as the recogniser writes them."""


def wrong_script(recogniser: Recogniser, text: str) -> str | None:
    """An error message if most letters of `text` are not in the recogniser's script; else None."""
    most_common = scripts(text).most_common(1)
    if (
        recogniser.script is None
        or not most_common
        or recogniser.script == (script := most_common[0][0])
    ):
        return None
    return (
        f"{recogniser.name} recognises speech in {recogniser.script} script, the text "
        f"{text[:40]!r} is in {script}: choose a recogniser of that language (asr_ctc:MODEL)"
    )


def unfit(recogniser: Recogniser, clip: Clip) -> str | None:
    """An error message if this recogniser does not know the language of a clip with a text; else
    None.

    The language is the clip's, if it is known and the recogniser has a list; else the script of the
    text decides.
    """
    languages = recogniser.languages
    if clip.language is None or languages is None:
        return wrong_script(recogniser, clip.text)
    if clip.language.partition("-")[0] in languages:
        return None
    return (
        f"{recogniser.name} recognises {', '.join(languages[:3])}, the clip is in {clip.language}: "
        "choose a recogniser of that language (asr_whisper:base, asr_ctc:MODEL)"
    )


def mono(audio: Audio) -> Audio:
    """One channel at SAMPLE_RATE."""
    return audio.to_channels(1).resample(SAMPLE_RATE)


def pieces(audio: Audio) -> list[torch.Tensor]:
    """The sound as `mono`, split every PIECE samples, (L,) each; a word may be split."""
    result = list(mono(audio).waveform[0].split(PIECE))
    result[-1] = torch.nn.functional.pad(result[-1], (0, max(0, SHORTEST - len(result[-1]))))
    return result


def fingerprint(audio: Audio) -> str:
    """Hash of the samples and the rate, so that equal sounds are recognised only once."""
    waveform = audio.waveform.to(torch.float32).contiguous().numpy()
    return hashlib.sha256(waveform.data).hexdigest() + f"@{audio.sample_rate}x{audio.channels}"
