"""What all recognition tasks share: error rates by one recogniser, micro-averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from audiotok.errors import AudiotokError, MetricError
from audiotok.judges.asr import (
    Recogniser,
    character_errors,
    fingerprint,
    normalise,
    normaliser,
    unfit,
    word_errors,
)
from audiotok.judges.asr.text import is_spaceless
from audiotok.judges.pretrained import slug
from audiotok.tasks import Column, Item, Task

if TYPE_CHECKING:
    import pandas

    from audiotok.data import Corpus
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

# In this process: (recogniser, language, fingerprint of a sound) -> text
_transcripts: dict[tuple[str, str | None, str], str] = {}


class Recognition(Task):
    """WER, CER and dWER by one recogniser, whose model is part of the column names.

    The columns of `asr_whisper` end in `_whisper`, those of `asr_whisper:large-v3` in
    `_whisper_large_v3`: numbers of two recognisers never share a column. A text in a script that
    the recogniser does not write has no rates; a text in a script without spaces between words has
    a CER alone. The missing rates are failures with that reason.

    Ranked: the WER against the text. CER and dWER count the same errors again; dWER also rewards
    errors that the recogniser makes on the reference.
    """

    WEIGHTS: ClassVar = {"wer": "words", "cer": "characters", "dwer": "words_heard"}

    def __init__(self, recogniser: Recogniser):
        self.recogniser = recogniser
        self.suffix = type(self).name.removeprefix("asr") + slug(recogniser.label)
        if recogniser.label:
            self.name = f"{type(self).name}:{recogniser.label}"
        self.non_speech: frozenset[str] = frozenset()  # ids of clips where no speech is expected
        self.normaliser = normaliser([])

    @property
    def identity(self) -> dict[str, str]:
        return self.recogniser.identity | normaliser_identity(self.normaliser)

    @property
    def columns(self) -> tuple[Column, ...]:
        how = f"{self.recogniser.name}, normaliser {self.normaliser}"
        fields = (
            ("wer", False, 3, f"word error rate against the text; {how}"),
            ("cer", False, 3, f"character error rate against the text; {how}"),
            ("dwer", False, 3, f"word error rate against the transcript of the reference; {how}"),
            ("words", None, 0, "words of the text"),
            ("characters", None, 0, "characters of the text, including spaces between words"),
            ("words_heard", None, 0, "words recognised in the reference"),
        )
        return tuple(Column(name + self.suffix, "", *description) for name, *description in fields)

    def available(self) -> str | None:
        return str(error) if (error := self.recogniser.missing()) is not None else None

    def unsuited(self, corpus: Corpus) -> str | None:
        if reason := corpus.no_speech():
            return reason
        reasons = [unfit(self.recogniser, clip) for clip in corpus if clip.text]
        return reasons[0] if reasons and all(reasons) else None

    def prepare(self, corpus: Corpus) -> None:
        self.normaliser = normaliser(clip.text for clip in corpus)
        self.non_speech = frozenset(clip.id for clip in corpus if not corpus.is_speech(clip))

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        if item.clip.id in self.non_speech:
            return {}
        row = rates(self.recogniser, item)
        return {name + self.suffix: value for name, value in row.items()}

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        totals = {}
        for rate, count in self.WEIGHTS.items():
            totals |= micro_average(rows, rate + self.suffix, count + self.suffix)
        return totals


def normaliser_identity(name: str) -> dict[str, str]:
    """The normaliser in the identity of a task; {} for the first one, as in older results."""
    return {} if name == normaliser([]) else {"normaliser": name}


def transcribe(recogniser: Recogniser, audio: Audio, language: str | None = None) -> str:
    """The transcript of a sound, cached in this process."""
    key = (recogniser.name, language, fingerprint(audio))
    if key not in _transcripts:
        _transcripts[key] = recogniser.transcribe(audio, language)
    return _transcripts[key]


def rates(recogniser: Recogniser, item: Item) -> dict[str, float | str | AudiotokError]:
    """The rates of one clip with their counts: dwer if there is a reference, wer and cer if there
    is a text."""
    language = item.clip.language
    hypothesis = transcribe(recogniser, item.reconstruction, language)
    row: dict[str, float | str | AudiotokError] = {"transcript": hypothesis}
    if item.reference is not None:
        row |= distance(transcribe(recogniser, item.reference, language), hypothesis)
    if not (text := item.clip.text):
        return row
    if reason := unfit(recogniser, item.clip):
        return row | dict.fromkeys(("wer", "cer"), MetricError(reason))
    row["wer"] = rate(text, hypothesis)
    row["cer"] = rate(text, hypothesis, character_errors)
    if not is_spaceless(text):
        row["words"] = float(len(normalise(text).split()))
    row["characters"] = float(len(normalise(text)))
    return row


def distance(reference_transcript: str, hypothesis: str) -> dict[str, float | AudiotokError]:
    """dwer: errors against the transcript of the reference, and the number of its words."""
    errors, words = word_errors(reference_transcript, hypothesis)
    if is_spaceless(reference_transcript):
        return {"dwer": no_words(reference_transcript)}
    if words:
        return {"words_heard": float(words), "dwer": errors / words}
    return {"words_heard": 0.0, "dwer": MetricError("nothing was recognised in the reference")}


def rate(text: str, hypothesis: str, count=word_errors) -> float | MetricError:
    """Error rate of one clip; above 1 if there are many insertions."""
    if count is word_errors and is_spaceless(text):
        return no_words(text)
    errors, units = count(text, hypothesis)
    return errors / units if units else MetricError(f"the text {text[:40]!r} holds no words")


def no_words(text: str) -> MetricError:
    """The error for a text in a script without spaces, which has no word error rate."""
    return MetricError(
        f"{text[:40]!r} has no spaces between words, so no word error rate: read the character "
        "error rate (cer)"
    )


def micro_average(rows: pandas.DataFrame, rates: str, units: str) -> dict[str, float]:
    """All errors by all words, so that long clips count for more; {} if nothing was counted."""
    if rates not in rows or units not in rows:
        return {}
    counted = rows[[rates, units]].dropna()
    total = counted[units].sum()
    return {rates: float((counted[rates] * counted[units]).sum() / total)} if total else {}
