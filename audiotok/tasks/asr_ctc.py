"""asr_ctc: WER, CER and dWER by a CTC model of transformers, if its weights are cached.

`asr_ctc` is wav2vec 2.0 base (facebook/wav2vec2-base-960h), `asr_ctc:org/name` any other on the
Hub, `asr_ctc:path/of/folder` a local one. See `asr` for what the columns mean.
"""

from __future__ import annotations

from audiotok.judges.asr.ctc import Ctc
from audiotok.tasks import _words


class AsrCtc(_words.Recognition):
    """Args: model: a name on the Hub whose files are cached, or a folder.

    Ranked: the WER, see `_words.Recognition`.
    """

    name = "asr_ctc"
    ranked = ("wer_ctc",)
    option = "a CTC model: a name on the Hub, a folder"

    def __init__(self, model: str | None = None):
        super().__init__(Ctc(model))
