"""asr_torchaudio: WER, CER and dWER by a recogniser of torchaudio.pipelines, with cached weights.

`asr_torchaudio` is WAV2VEC2_ASR_BASE_960H, `asr_torchaudio:HUBERT_ASR_LARGE` another one. See `asr`
for what the columns mean.
"""

from __future__ import annotations

from audiotok.judges.asr.bundles import Bundle
from audiotok.tasks import _words


class AsrTorchaudio(_words.Recognition):
    """Args: bundle: the name of a recogniser in torchaudio.pipelines.

    Ranked: the WER, see `_words.Recognition`.
    """

    name = "asr_torchaudio"
    ranked = ("wer_torchaudio",)
    option = "the name of a recogniser in torchaudio.pipelines"

    def __init__(self, bundle: str | None = None):
        super().__init__(Bundle(bundle))
