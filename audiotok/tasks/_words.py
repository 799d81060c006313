"""What all recognition tasks share: word error rates by one recogniser, micro-averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.asr import NORMALISER, Recogniser, fingerprint, word_errors
from audiotok.errors import AudiotokError, MetricError
from audiotok.tasks import Column, Item

if TYPE_CHECKING:
    import pandas

    from audiotok.audio import Audio

_heard: dict[tuple[str, str], str] = {}  # per process: (recogniser, fingerprint of a sound) -> text


def hear(recogniser: Recogniser, audio: Audio) -> str:
    """The transcript; a sound this process has heard before (the reference) is not heard again."""
    key = (recogniser.name, fingerprint(audio))
    if key not in _heard:
        _heard[key] = recogniser.transcribe(audio)
    return _heard[key]


def columns(suffix: str, recogniser: str) -> tuple[Column, ...]:
    """wer, dwer and the words they are counted over, each name ending in `suffix`."""
    how = f"{recogniser}, normaliser {NORMALISER}"
    return (
        Column(f"wer{suffix}", "", False, 3, f"word error rate against the text; {how}"),
        Column(
            f"dwer{suffix}", "", False, 3, f"against what is recognised in the reference; {how}"
        ),
        Column(f"words_heard{suffix}", "", None, 0, "words recognised in the reference"),
    )


def score(
    recogniser: Recogniser, item: Item, suffix: str
) -> dict[str, float | str | AudiotokError]:
    """Of one clip: dwer, and wer where the clip has a text."""
    hypothesis = hear(recogniser, item.reconstruction)
    heard = hear(recogniser, item.reference)
    row: dict[str, float | str | AudiotokError] = {f"transcript{suffix}": hypothesis}
    errors, words = word_errors(heard, hypothesis)
    row[f"words_heard{suffix}"] = float(words)
    row[f"dwer{suffix}"] = (
        errors / words if words else MetricError("nothing was recognised in the reference")
    )
    if item.clip.text:
        row[f"wer{suffix}"] = rate(item.clip.text, hypothesis)
    return row


def rate(text: str, hypothesis: str) -> float | MetricError:
    """Word error rate of one clip; above 1 where many words were inserted."""
    errors, words = word_errors(text, hypothesis)
    return errors / words if words else MetricError(f"the text {text[:40]!r} holds no words")


def micro_average(rows: pandas.DataFrame, rates: str, words: str) -> dict[str, float]:
    """All errors by all words, so that long clips count for more; {} where nothing was counted."""
    if rates not in rows or words not in rows:
        return {}
    counted = rows[[rates, words]].dropna()
    total = counted[words].sum()
    return {rates: float((counted[rates] * counted[words]).sum() / total)} if total else {}
