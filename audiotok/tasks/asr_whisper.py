"""asr_whisper: WER, CER and dWER by Whisper, where its weights are on this machine.

`asr_whisper` is Whisper small, `asr_whisper:large-v3` another size, `asr_whisper:org/name` any on
the Hub, `asr_whisper:path/of/folder` one's own. See `asr` for what the columns mean.
"""

from __future__ import annotations

from audiotok.judges.asr.whisper import Whisper
from audiotok.tasks import _words


class AsrWhisper(_words.Recognition):
    """Args: model: a size, a name on the Hub whose files are cached, or a folder.

    Ranked: the WER, see `_words.Recognition`.
    """

    name = "asr_whisper"
    version = 2  # CER, beams
    ranked = ("wer_whisper",)
    option = "a size of Whisper, a name on the Hub, a folder"

    def __init__(self, model: str | None = None):
        super().__init__(Whisper(model))
