"""CMU Pocketsphinx with the US-English model of its package: small, offline, not very accurate.

With a JSGF grammar it recognises only sentences of that grammar (closed vocabulary); without, it
uses the package's trigram language model. Before each sound the estimate of the channel is reset,
which would otherwise influence the next one; dither has a fixed seed. `phones` is a forced
alignment of a given text.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import MetricError, MissingPackageError
from audiotok.judges.asr import SAMPLE_RATE, mono, normalise, wrong_script
from audiotok.sound.audio import Audio

if TYPE_CHECKING:
    import pocketsphinx

MIN_KNOWN = 0.75  # share of words in the dictionary; English texts have 0.95, German 0.65
MIN_WORDS = 20  # words needed to distinguish English from other languages
DITHER = 1e-4  # standard deviation of the noise added; the decoder fails on digital silence


def missing() -> MissingPackageError | None:
    """An error with how to install pocketsphinx; None if it is installed."""
    if importlib.util.find_spec("pocketsphinx") is None:
        return MissingPackageError("pocketsphinx", "asr", "speech recognition")
    return None


class Sphinx:
    """Args: grammar: path of a JSGF file, or None for the general language model."""

    label = ""
    languages = ("en",)
    script = "LATIN"

    def __init__(self, grammar: str | Path | None = None):
        self.grammar = str(grammar) if grammar is not None else None
        self.name = f"pocketsphinx {self.grammar or 'en-us'}"
        self.identity: dict[str, str] = {}

    def missing(self) -> MissingPackageError | None:
        """As the function `missing`."""
        return missing()

    def transcribe(self, audio: Audio, language: str | None = None) -> str:
        """Words in lower case; empty if nothing was recognised."""
        if (error := self.missing()) is not None:
            raise error
        pcm = _pcm(audio)
        try:
            decoder = _decoder(self.grammar, threading.get_ident())
            decoder.reinit_feat()
            decoder.start_utt()
            decoder.process_raw(pcm, full_utt=True)
            decoder.end_utt()
        except BaseException as reason:
            _decoder.cache_clear()  # it may be within an utterance, and would refuse the next one
            if not isinstance(reason, RuntimeError | ValueError):
                raise
            raise MetricError(
                f"pocketsphinx failed ({self.name}): {reason}; is each word of the grammar English?"
            ) from reason
        hypothesis = decoder.hyp()
        return hypothesis.hypstr if hypothesis is not None else ""


@lru_cache(maxsize=4)
def _decoder(grammar: str | None, thread: int) -> pocketsphinx.Decoder:
    """A decoder of one thread, cached: loading takes longer than recognising a short sentence."""
    from pocketsphinx import Decoder

    search = {} if grammar is None else {"jsgf": grammar}
    return Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", **search)


def unsuited(texts: Sequence[str]) -> str | None:
    """A message why pocketsphinx, which recognises only English, does not suit these texts; None if
    they seem to be English."""
    reasons = [wrong_script(Sphinx(), text) for text in texts]
    if reasons and all(reasons):
        return reasons[0]
    words = [word for text in texts for word in normalise(text).split() if word.isalpha()]
    if len(words) < MIN_WORDS or missing() is not None:
        return None
    share = sum(word in dictionary() for word in words) / len(words)
    if share >= MIN_KNOWN:
        return None
    return (
        f"pocketsphinx recognises English, but only {share:.0%} of the words of the texts are in "
        "its dictionary: choose a recogniser of their language (asr_ctc:MODEL)"
    )


@cache
def dictionary() -> dict[str, list[str]]:
    """The CMU Pronouncing Dictionary, as pocketsphinx ships it: {word: its first phones}."""
    if (error := missing()) is not None:
        raise error
    from pocketsphinx import get_model_path

    path = Path(get_model_path()) / "en-us" / "cmudict-en-us.dict"
    pronunciations: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *phones = line.split()
        pronunciations.setdefault(word, phones)  # "word(2)" is another pronunciation
    return pronunciations


def phones(
    audio: Audio, text: str, pronunciations: Mapping[str, Sequence[str]] | None = None
) -> list[tuple[str, float]]:
    """Forced alignment: the phones of `text` in `audio`, each with its start in seconds.

    Phones are those of the CMU dictionary, silence is SIL; the first begins at 0.

    Args:
        pronunciations: {word: its phones} of words that the dictionary does not have.

    Raises:
        MetricError: a word is not in the dictionary, or the text does not fit the sound.
    """
    if (error := missing()) is not None:
        raise error
    from pocketsphinx import Decoder

    pcm = _pcm(audio)
    try:
        decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", lm=None)
        for word, word_phones in (pronunciations or {}).items():
            decoder.add_word(word, " ".join(word_phones), False)
        decoder.set_align_text(normalise(text))
        for search in (None, decoder.set_alignment):  # words first, then the phones in them
            if search is not None:
                search()
            decoder.start_utt()
            decoder.process_raw(pcm, full_utt=True)
            decoder.end_utt()
        rate = decoder.config["frate"]
        alignment = [(p.name, p.start / rate) for word in decoder.get_alignment() for p in word]
    except (RuntimeError, ValueError, TypeError) as reason:
        raise MetricError(
            f"pocketsphinx cannot align {text[:40]!r}: {reason}; is each word English and spoken?"
        ) from reason
    return alignment


def _pcm(audio: Audio) -> bytes:
    """16-bit samples with dither."""
    samples = mono(audio).waveform[0].numpy()
    samples = samples + DITHER * np.random.default_rng(0).standard_normal(len(samples))
    return np.clip(np.round(32767 * samples), -32768, 32767).astype("<i2").tobytes()
