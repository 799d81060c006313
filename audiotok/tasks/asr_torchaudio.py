"""asr_torchaudio: WER, CER and dWER by an ASR model of torchaudio.pipelines.

Its weights must be on this machine.

`asr_torchaudio` is WAV2VEC2_ASR_BASE_960H, `asr_torchaudio:HUBERT_ASR_LARGE` another one. The
columns have the meaning of those of `asr`.
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
