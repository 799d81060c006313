"""speaker: whether the voice stays the same, by Resemblyzer; its package brings the weights.

The similarity is the cosine between the embeddings of original and reconstruction. The cosine of
two different speakers is not 0, so two more columns have a known chance level. Both compare each
reconstruction with original clips of the same speaker (4 at most, never the same clip) and of up to
40 other speakers:

- `speaker_identified`: how often the mean embedding of the same speaker is the nearest;
- `speaker_eer`: equal error rate of verification over all these pairs; 0.5 is chance.
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
