"""How `acoustic_lm` rates what its model goes on with: voice, quality, words, distance of sets.

Each measure is also taken of the clip's own tokens (`_true`), which go on as the speaker did. Voice
is that of the beginning of the recording. A continuation has no text, so its word error rate
compares two recognisers: the words of Whisper base are the text, those of Whisper tiny.en are
counted. Two recognisers agree on clear words and differ on babble. The distance of sets
(`audiotok.metrics.sets.mmd`) is that of all continuations from what the recordings go on with, by
the encoder of Whisper base.
"""

from __future__ import annotations

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
ABOUT = {  # measure: unit, better, digits, what
    "similarity": ("", True, 3, "voice of what the model goes on with"),
    "dnsmos": ("MOS", True, 2, "DNSMOS P.808 of what it goes on with"),
    "distillmos": ("MOS", True, 2, "DistillMOS of what it goes on with"),
    "wer": ("", False, 3, "words of Whisper base that tiny.en recognises differently"),
    "mmd": ("", False, 4, "distance of all continuations from those of the recordings"),
}


def columns() -> list[Column]:
    """All columns, also those that cannot be filled here."""
    found = []
    for measure, (unit, better, digits, what) in ABOUT.items():
        found += [
            Column(f"{PREFIX}{measure}", unit, better, digits, what),
            Column(
                f"{PREFIX}{measure}{TRUE}", unit, better, digits, "that of the clip's own tokens"
            ),
        ]
    return found


def missing() -> dict[str, AudiotokError]:
    """{measure: error} of the judges that are not on this machine."""
    recognisers = [Whisper(name) for name in RECOGNISERS]
    judges = {
        "similarity": [Resemblyzer()], "dnsmos": [mos.get("dnsmos")],
        "distillmos": [mos.get("distillmos")], "wer": recognisers, "mmd": recognisers[:1],
    }  # fmt: skip
    errors = {measure: [judge.missing() for judge in some] for measure, some in judges.items()}
    return {measure: next(filter(None, found)) for measure, found in errors.items() if any(found)}


def identity() -> dict[str, str]:
    """Of the weights of the recognisers that are here."""
    found = {name: Whisper(name) for name in RECOGNISERS}
    return {
        f"whisper {name} {key}": value
        for name, one in found.items()
        if one.missing() is None
        for key, value in one.identity.items()
    }


def scores(
    start: Audio, rest: Audio, recorded: Audio, ending: str, left_out: set[str]
) -> dict[str, float | str | AudiotokError]:
    """The columns of one continuation.

    Args:
        start: the beginning of the recording.
        rest: what the model goes on with, or the clip's own tokens.
        recorded: what the recording goes on with.
        ending: of the columns, "" or TRUE.
        left_out: measures that are not taken.
    """
    row: dict[str, float | str | AudiotokError] = {}
    for measure in ABOUT.keys() - left_out:
        try:
            row |= _measured(measure, start, rest, recorded)
        except AudiotokError as error:
            row[PREFIX + measure] = error
    return {name + ending: value for name, value in row.items()}


def _measured(
    measure: str, start: Audio, rest: Audio, recorded: Audio
) -> dict[str, float | str | AudiotokError]:
    if measure == "similarity":
        from audiotok.tasks.speaker import Speaker

        voices = Speaker()
        return {PREFIX + measure: float(voices.embed(start) @ voices.embed(rest))}
    if measure == "wer":
        words, heard = (transcribe(Whisper(name), rest, "en") for name in RECOGNISERS)
        errors, count = word_errors(words, heard)
        if not count:
            raise MetricError("no words were recognised in the continuation")
        return {PREFIX + measure: errors / count, WORDS: float(count)}
    if measure == "mmd":
        encoder = WhisperEncoder(RECOGNISERS[0])
        return {EMBEDDINGS: _embedded.text(np.stack([encoder.embed(s) for s in (recorded, rest)]))}
    score = mos.get(measure)(rest)
    return {PREFIX + measure: score["dnsmos_p808" if measure == "dnsmos" else measure]}


def summarise(rows: pandas.DataFrame) -> dict[str, float]:
    """Numbers of all continuations that are not means; `rows` have names without a suffix."""
    totals: dict[str, float] = {}
    for ending in ("", TRUE):
        totals |= micro_average(rows, f"{PREFIX}wer{ending}", WORDS + ending)
        distance = _embedded.squared_mmd(rows, EMBEDDINGS + ending)
        totals |= {} if distance is None else {f"{PREFIX}mmd{ending}": distance}
    return totals
