"""Embeddings of any sound, for distances between sets of sounds; one class per file.

    encoder = audiotok.judges.embeddings.get("whisper-base")
    encoder.embed(audio)        # (D,) float32, the mean over the sound

Names: `resemblyzer` (voices only), `whisper-SIZE`, and any encoder of transformers whose weights
are on this machine, by its name on the Hub or its folder: WavLM, HuBERT, wav2vec 2.0, CLAP, AST.
"""

from __future__ import annotations

import json
from pathlib import Path

from audiotok.judges.embeddings.hub import HubEncoder
from audiotok.judges.embeddings.whisper import WhisperEncoder
from audiotok.judges.speakers import Encoder
from audiotok.judges.speakers.resemblyzer import Resemblyzer

WHISPER = "whisper-"


def get(name: str) -> Encoder:
    """The encoder of this name. Its `missing` says whether it can be used on this machine."""
    if name == "resemblyzer":
        return Resemblyzer()
    if "/" not in name and name.startswith(WHISPER) and not Path(name).is_dir():
        return WhisperEncoder(name.removeprefix(WHISPER))
    return (WhisperEncoder if _is_whisper(name) else HubEncoder)(name)


def _is_whisper(name: str) -> bool:
    """Whether a name on the Hub, or a folder, is that of a Whisper."""
    try:
        config = json.loads((Path(name) / "config.json").read_bytes())
        return config.get("model_type") == "whisper"
    except (OSError, ValueError, AttributeError):
        return name.startswith("openai/whisper")
