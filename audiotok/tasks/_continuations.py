"""Scores of the continuations of `acoustic_lm`: speaker, quality, words, distance of sets.

Each score is also computed for the clip's own tokens (`_true`), the true continuation. The speaker
is compared with the beginning of the recording. A continuation has no text, so its word error rate
compares two recognisers: Whisper base gives the reference, Whisper tiny.en the hypothesis. They
agree on clear words and differ on babble. The distance of sets (`audiotok.metrics.sets.mmd`) is
that of all continuations from the continuations of the recordings, by the encoder of Whisper base.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import AudiotokError, MetricError
from audiotok.judges import mos
from audiotok.judges.asr import word_errors
from audiotok.judges.asr.whisper import Whisper
from audiotok.judges.embeddings.whisper import WhisperEncoder
from audiotok.judges.speakers.resemblyzer import Resemblyzer
from audiotok.tasks import Column, _embedded
from audiotok.tasks._words import micro_average, transcribe

if TYPE_CHECKING:
    import pandas

    from audiotok.sound.audio import Audio

PREFIX, TRUE = "continuation_", "_true"
RECOGNISERS = "base", "tiny.en"
EMBEDDINGS, WORDS = f"{PREFIX}embeddings", f"{PREFIX}words"
ABOUT = {  # measure: unit, higher is better, digits, description
    "similarity": ("", True, 3, "speaker similarity of the continuation to the beginning"),
    "dnsmos": ("MOS", True, 2, "DNSMOS P.808 of the continuation"),
    "distillmos": ("MOS", True, 2, "DistillMOS of the continuation"),
    "wer": ("", False, 3, "word error rate of Whisper tiny.en against Whisper base"),
    "mmd": ("", False, 4, "squared MMD of all continuations from those of the recordings"),
}


def columns() -> list[Column]:
    """All columns, also those that cannot be filled here."""
    columns = []
    for measure, (unit, higher_is_better, digits, description) in ABOUT.items():
        name, truth = f"{PREFIX}{measure}", "the same for the clip's own tokens"
        columns += [
            Column(name, unit, higher_is_better, digits, description),
            Column(name + TRUE, unit, higher_is_better, digits, truth),
        ]
    return columns


def missing() -> dict[str, AudiotokError]:
    """{measure: error} of the judges that are not on this machine."""
    recognisers = [Whisper(name) for name in RECOGNISERS]
    judges = {
        "similarity": [Resemblyzer()], "dnsmos": [mos.get("dnsmos")],
        "distillmos": [mos.get("distillmos")], "wer": recognisers, "mmd": recognisers[:1],
    }  # fmt: skip
    errors = {measure: [judge.missing() for judge in needed] for measure, needed in judges.items()}
    return {measure: next(filter(None, each)) for measure, each in errors.items() if any(each)}


def identity() -> dict[str, str]:
    """Of the weights of the recognisers on this machine."""
    recognisers = {name: Whisper(name) for name in RECOGNISERS}
    return {
        f"whisper {name} {key}": value
        for name, recogniser in recognisers.items()
        if recogniser.missing() is None
        for key, value in recogniser.identity.items()
    }


def scores(
    start: Audio, continuation: Audio, recorded: Audio, *, suffix: str, left_out: set[str]
) -> dict[str, float | str | AudiotokError]:
    """The columns of one continuation.

    Args:
        start: the beginning of the recording.
        continuation: by the model, or of the clip's own tokens.
        recorded: the continuation of the recording.
        suffix: of the columns, "" or TRUE.
        left_out: measures that are not computed.
    """
    row: dict[str, float | str | AudiotokError] = {}
    for measure in ABOUT.keys() - left_out:
        try:
            row |= _score(measure, start, continuation, recorded)
        except AudiotokError as error:
            row[PREFIX + measure] = error
    return {name + suffix: value for name, value in row.items()}


def _score(
    measure: str, start: Audio, continuation: Audio, recorded: Audio
) -> dict[str, float | str | AudiotokError]:
    if measure == "similarity":
        from audiotok.tasks.speaker import Speaker

        encoder = Speaker()
        similarity = float(encoder.embed(start) @ encoder.embed(continuation))
        return {PREFIX + measure: similarity}
    if measure == "wer":
        reference, hypothesis = (
            transcribe(Whisper(name), continuation, "en") for name in RECOGNISERS
        )
        errors, count = word_errors(reference, hypothesis)
        if not count:
            raise MetricError("no words were recognised in the continuation")
        return {PREFIX + measure: errors / count, WORDS: float(count)}
    if measure == "mmd":
        pair = np.stack([_encoder().embed(sound) for sound in (recorded, continuation)])
        return {EMBEDDINGS: _embedded.text(pair)}
    score = mos.get(measure)(continuation)
    return {PREFIX + measure: score["dnsmos_p808" if measure == "dnsmos" else measure]}


@cache
def _encoder() -> WhisperEncoder:
    """One for all continuations: it loads its network when it is first used."""
    return WhisperEncoder(RECOGNISERS[0])


def summarise(rows: pandas.DataFrame) -> dict[str, float]:
    """Numbers of all continuations that are not means; `rows` have names without a suffix."""
    totals: dict[str, float] = {}
    for suffix in ("", TRUE):
        totals |= micro_average(rows, f"{PREFIX}wer{suffix}", WORDS + suffix)
        distance = _embedded.squared_mmd(rows, EMBEDDINGS + suffix)
        totals |= {} if distance is None else {f"{PREFIX}mmd{suffix}": distance}
    return totals
