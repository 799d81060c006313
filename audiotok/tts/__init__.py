"""Speech from text with codec tokens, in the voice of a prompt: VALL-E R and its relatives.

    audiotok say "good morning" --prompt voice.wav -o out.wav
    audiotok train-tts valle-r-ar

    from audiotok import tts

    spoken = tts.Speaker().say("good morning", "voice.wav")
    tts.write("out.wav", spoken)

The front end (`text`, `phones`, `alignment`), the corpus, training (`recipe`, `training`), `say`
and the task `tts` are the same for all models; `base.SpeechModel` is what a model promises.
"""

from __future__ import annotations

import importlib

_HOMES = {
    "Speaker": "say",
    "Spoken": "say",
    "write": "say",
    "Durations": "durations",
    "Generation": "base",
    "train": "training",
}

__all__ = list(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"audiotok.tts.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'audiotok.tts' has no attribute {name!r}")
