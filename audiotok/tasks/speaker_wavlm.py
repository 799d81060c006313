"""speaker_wavlm: whether the speaker is preserved, by x-vectors of WavLM, if they are cached.

`speaker_wavlm` is microsoft/wavlm-base-plus-sv, `speaker_wavlm:org/name` any other network of the
Hub with such a head, `speaker_wavlm:path/of/folder` your own. The columns are described in
`_voices.py`.
"""

from __future__ import annotations

from audiotok.judges.speakers.xvector import XVector
from audiotok.tasks import _voices


class SpeakerWavlm(_voices.Voices):
    """Args: model: a name on the Hub whose files are cached, or a folder.

    Ranked: the similarity, see `_voices.Voices`.
    """

    name = "speaker_wavlm"
    ranked = ("speaker_similarity_wavlm",)
    option = "an x-vector model: a name on the Hub, a folder"

    def __init__(self, model: str | None = None):
        super().__init__(XVector(model))
