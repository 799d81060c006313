"""CMU Pocketsphinx with the US-English model of its package: small, offline, far from the best.

With a JSGF grammar it hears only sentences of that grammar (closed vocabulary); without, it uses
the package's trigram language model. A fresh decoder hears each sound, since the channel estimate
of one utterance would otherwise reach into the next; dither comes from a fixed seed. `phones`
aligns a text that is known.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from audiotok.errors import MetricError, MissingPackageError
from audiotok.judges.asr import SAMPLE_RATE, mono, normalise
from audiotok.sound.audio import Audio

DITHER = 1e-4  # standard deviation of the noise added; exact digital silence upsets the decoder


def missing() -> MissingPackageError | None:
    """The error that says how to install pocketsphinx, or None where it is there."""
    if importlib.util.find_spec("pocketsphinx") is None:
        return MissingPackageError("pocketsphinx", "asr", "speech recognition")
    return None


class Sphinx:
    """Args: grammar: path of a JSGF file, or None for the general language model."""

    label = ""

    def __init__(self, grammar: str | Path | None = None):
        self.grammar = str(grammar) if grammar is not None else None
        self.name = f"pocketsphinx {self.grammar or 'en-us'}"
        self.identity: dict[str, str] = {}

    def missing(self) -> MissingPackageError | None:
        """As the function of that name."""
        return missing()

    def transcribe(self, audio: Audio) -> str:
        """Words in lower case; empty where nothing was recognised."""
        if (error := self.missing()) is not None:
            raise error
        from pocketsphinx import Decoder

        pcm = _pcm(audio)
        search = {} if self.grammar is None else {"jsgf": self.grammar}
        try:
            decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", **search)
            decoder.start_utt()
            decoder.process_raw(pcm, full_utt=True)
            decoder.end_utt()
        except (RuntimeError, ValueError) as reason:
            raise MetricError(
                f"pocketsphinx failed ({self.name}): {reason}; is each word of the grammar English?"
            ) from reason
        hypothesis = decoder.hyp()
        return hypothesis.hypstr if hypothesis is not None else ""


def phones(audio: Audio, text: str) -> list[tuple[str, float]]:
    """The phones of `text`, aligned by force to `audio`: each with the second in which it begins.

    Phones are those of the CMU dictionary, silence is SIL; the first begins at 0.

    Raises:
        MetricError: a word that is not in the dictionary, or a text that does not fit the sound.
    """
    if (error := missing()) is not None:
        raise error
    from pocketsphinx import Decoder

    pcm = _pcm(audio)
    try:
        decoder = Decoder(samprate=SAMPLE_RATE, loglevel="FATAL", lm=None)
        decoder.set_align_text(normalise(text))
        for search in (None, decoder.set_alignment):  # words first, then the phones in them
            if search is not None:
                search()
            decoder.start_utt()
            decoder.process_raw(pcm, full_utt=True)
            decoder.end_utt()
        rate = decoder.config["frate"]
        found = [(p.name, p.start / rate) for word in decoder.get_alignment() for p in word]
    except (RuntimeError, ValueError, TypeError) as reason:
        raise MetricError(
            f"pocketsphinx cannot align {text[:40]!r}: {reason}; is each word English, and said?"
        ) from reason
    return found


def _pcm(audio: Audio) -> bytes:
    """16-bit samples with dither."""
    samples = mono(audio).waveform[0].numpy()
    samples = samples + DITHER * np.random.default_rng(0).standard_normal(len(samples))
    return np.clip(np.round(32767 * samples), -32768, 32767).astype("<i2").tobytes()
