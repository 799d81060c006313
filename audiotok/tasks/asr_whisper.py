"""asr_whisper: WER and dWER by Whisper small, where its weights are on this machine.

Greedy, English, through transformers; see `asr` for what the columns mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.asr import normalise, whisper
from audiotok.errors import AudiotokError
from audiotok.tasks import Column, Item, Task, _words

if TYPE_CHECKING:
    import pandas

    from audiotok.data import Corpus
    from audiotok.tokens import Tokens

SUFFIX = "_whisper"


class AsrWhisper(Task):
    """Args: model: a name on the Hub whose files are cached, or a folder that holds them."""

    name = "asr_whisper"
    version = 1

    def __init__(self, model: str = whisper.MODEL):
        self.recogniser = whisper.Whisper(model)
        self.silent: frozenset[str] = frozenset()

    @property
    def columns(self) -> tuple[Column, ...]:
        words = Column(f"words{SUFFIX}", "", None, 0, "words of the text")
        return (*_words.columns(SUFFIX, self.recogniser.name), words)

    def available(self) -> str | None:
        return str(error) if (error := whisper.missing(self.recogniser.model)) is not None else None

    def prepare(self, corpus: Corpus) -> None:
        self.silent = frozenset(clip.id for clip in corpus if not corpus.is_speech(clip))

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        if item.clip.id in self.silent:
            return {}
        row = _words.score(self.recogniser, item, SUFFIX)
        if item.clip.text:
            row[f"words{SUFFIX}"] = float(len(normalise(item.clip.text).split()))
        return row

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        return _words.micro_average(rows, f"wer{SUFFIX}", f"words{SUFFIX}") | _words.micro_average(
            rows, f"dwer{SUFFIX}", f"words_heard{SUFFIX}"
        )
