"""speaker_wavlm: whether the voice stays the same, by x-vectors of WavLM, if the weights are here.

`speaker_wavlm` is microsoft/wavlm-base-plus-sv, `speaker_wavlm:org/name` another model on the Hub
with an x-vector head, `speaker_wavlm:path/of/folder` a local one. The columns have the meaning of
those of `speaker`, and end in the name of the model.
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
