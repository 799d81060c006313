"""What all recognition tasks share: error rates by one recogniser, micro-averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from audiotok.errors import AudiotokError, MetricError
from audiotok.judges.asr import (
    NORMALISER,
    Recogniser,
    character_errors,
    fingerprint,
    normalise,
    word_errors,
)
from audiotok.judges.pretrained import slug
from audiotok.tasks import Column, Item, Task

if TYPE_CHECKING:
    import pandas

    from audiotok.data import Corpus
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

_heard: dict[tuple[str, str], str] = {}  # per process: (recogniser, fingerprint of a sound) -> text


class Recognition(Task):
    """WER, CER and dWER by one recogniser, whose model the names of the columns carry.

    The columns of `asr_whisper` end in `_whisper`, those of `asr_whisper:large-v3` in
    `_whisper_large_v3`: what two recognisers heard never stands in one column.
    """

    WEIGHTS: ClassVar = {"wer": "words", "cer": "characters", "dwer": "words_heard"}

    def __init__(self, recogniser: Recogniser):
        self.recogniser = recogniser
        self.suffix = type(self).name.removeprefix("asr") + slug(recogniser.label)
        if recogniser.label:
            self.name = f"{type(self).name}:{recogniser.label}"
        self.silent: frozenset[str] = frozenset()  # ids of clips where no speech is expected

    @property
    def identity(self) -> dict[str, str]:
        return self.recogniser.identity

    @property
    def columns(self) -> tuple[Column, ...]:
        how = f"{self.recogniser.name}, normaliser {NORMALISER}"
        found = (
            ("wer", False, 3, f"word error rate against the text; {how}"),
            ("cer", False, 3, f"character error rate against the text; {how}"),
            ("dwer", False, 3, f"against what is recognised in the reference; {how}"),
            ("words", None, 0, "words of the text"),
            ("characters", None, 0, "characters of the text, spaces between words among them"),
            ("words_heard", None, 0, "words recognised in the reference"),
        )
        return tuple(Column(name + self.suffix, "", *about) for name, *about in found)

    def available(self) -> str | None:
        return str(error) if (error := self.recogniser.missing()) is not None else None

    def prepare(self, corpus: Corpus) -> None:
        self.silent = frozenset(clip.id for clip in corpus if not corpus.is_speech(clip))

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        if item.clip.id in self.silent:
            return {}
        row = rates(self.recogniser, item)
        return {name + self.suffix: value for name, value in row.items()}

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        found = {}
        for rate, counted in self.WEIGHTS.items():
            found |= micro_average(rows, rate + self.suffix, counted + self.suffix)
        return found


def hear(recogniser: Recogniser, audio: Audio) -> str:
    """The transcript; a sound this process has heard before (the reference) is not heard again."""
    key = (recogniser.name, fingerprint(audio))
    if key not in _heard:
        _heard[key] = recogniser.transcribe(audio)
    return _heard[key]


def rates(recogniser: Recogniser, item: Item) -> dict[str, float | str | AudiotokError]:
    """Of one clip: dwer, and where the clip has a text wer and cer; and what they count."""
    hypothesis = hear(recogniser, item.reconstruction)
    heard = hear(recogniser, item.reference)
    row: dict[str, float | str | AudiotokError] = {"transcript": hypothesis}
    errors, words = word_errors(heard, hypothesis)
    row["words_heard"] = float(words)
    row["dwer"] = (
        errors / words if words else MetricError("nothing was recognised in the reference")
    )
    if text := item.clip.text:
        row["wer"] = rate(text, hypothesis)
        row["cer"] = rate(text, hypothesis, character_errors)
        row["words"] = float(len(normalise(text).split()))
        row["characters"] = float(len(normalise(text)))
    return row


def rate(text: str, hypothesis: str, count=word_errors) -> float | MetricError:
    """Error rate of one clip; above 1 where much was inserted."""
    errors, units = count(text, hypothesis)
    return errors / units if units else MetricError(f"the text {text[:40]!r} holds no words")


def micro_average(rows: pandas.DataFrame, rates: str, units: str) -> dict[str, float]:
    """All errors by all words, so that long clips count for more; {} where nothing was counted."""
    if rates not in rows or units not in rows:
        return {}
    counted = rows[[rates, units]].dropna()
    total = counted[units].sum()
    return {rates: float((counted[rates] * counted[units]).sum() / total)} if total else {}
