"""asr_whisper: WER, CER and dWER by Whisper, if its weights are on this machine.

`asr_whisper` is Whisper small, `asr_whisper:large-v3` another size, `asr_whisper:org/name` any on
the Hub, `asr_whisper:path/of/folder` a local one. See `asr` for what the columns mean.

Whisper writes "$22" and "colour" where texts have "twenty two dollars" and "color". `wer_english`
applies Whisper's own English normaliser to both, as most published WERs of Whisper do; it has a
value for clips in English and for clips of unknown language. `wer` applies audiotok's normaliser,
as for every other recogniser.
"""

from __future__ import annotations

from functools import cache

from audiotok.errors import AudiotokError, MissingPackageError
from audiotok.judges.asr.whisper import Whisper
from audiotok.tasks import Column, Item, _words


class AsrWhisper(_words.Recognition):
    """Args: model: a size, a name on the Hub whose files are cached, or a folder.

    Ranked: the WER, see `_words.Recognition`.
    """

    name = "asr_whisper"
    version = 3  # CTranslate2, English normaliser, languages
    ranked = ("wer_whisper",)
    option = "a size of Whisper, a name on the Hub, a folder"
    WEIGHTS = _words.Recognition.WEIGHTS | {"wer_english": "words_english"}

    def __init__(self, model: str | None = None):
        super().__init__(Whisper(model))

    @property
    def columns(self) -> tuple[Column, ...]:
        how = f"{self.recogniser.name}, Whisper's English normaliser"
        wer = Column(f"wer_english{self.suffix}", "", False, 3, f"word error rate; {how}")
        words = Column(f"words_english{self.suffix}", "", None, 0, f"words of the text; {how}")
        return (*super().columns, wer, words)

    def available(self) -> str | None:
        try:
            english_normaliser()
        except MissingPackageError as error:
            return str(error)
        return super().available()

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        row = super().score(item)
        language = (item.clip.language or "en").partition("-")[0]
        if not isinstance(row.get(f"wer{self.suffix}"), float) or language != "en":
            return row
        normalise = english_normaliser()
        reference = normalise(item.clip.text)
        hypothesis = normalise(row[f"transcript{self.suffix}"])
        row[f"wer_english{self.suffix}"] = _words.rate(reference, hypothesis)
        row[f"words_english{self.suffix}"] = float(len(_words.normalise(reference).split()))
        return row


@cache
def english_normaliser():
    """Whisper's normaliser of English texts, as a function.

    Raises:
        MissingPackageError: whisper-normalizer is not installed.
    """
    try:
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as reason:
        raise MissingPackageError("whisper-normalizer", "asr", "the task asr_whisper") from reason
    return EnglishTextNormalizer()
