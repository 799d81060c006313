"""speaker: whether the speaker is preserved, by Resemblyzer, whose package contains the weights.

The columns are described in `_voices.py`.
"""

from __future__ import annotations

from audiotok.judges.speakers.resemblyzer import Resemblyzer
from audiotok.tasks import _voices


class Speaker(_voices.Voices):
    """Similarity, identification and verification by Resemblyzer. Ranked: see `_voices.Voices`."""

    name = "speaker"
    version = 2  # equal error rate
    ranked = ("speaker_similarity",)

    def __init__(self):
        super().__init__(Resemblyzer())
