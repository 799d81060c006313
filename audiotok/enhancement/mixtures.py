"""Mixtures of speech with noise or with another speaker, from any corpora by a seeded recipe.

A mixture depends on the clips and noises alone, not on the codec; its random choices are seeded by
the id of its clip. The order of the clips of speech does not matter, that of the noises does.
Training and test mixtures share no clip, no speaker (where the corpus has enough of them, else no
clip) and no noise: noises are split by their source, the recording or file that they were cut from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np
import torch
from scipy.signal import fftconvolve

from audiotok import data
from audiotok.data import Clip, Corpus
from audiotok.enhancement import PROTOCOL, rooms
from audiotok.errors import AudioError, CorpusError
from audiotok.probes import splits
from audiotok.sound.audio import Audio
from audiotok.system.names import Recorded

TEST_EVERY = 5  # every fifth source of noise is for the test mixtures


@dataclass(frozen=True)
class Mixture:
    """A mixture and the speech in it; all mono, of one rate and length.

    Attributes:
        index: of the first speaker's clip in the corpus.
        sound: the mixture.
        clean: the speech of each speaker, without noise and room.
        recipe: the SNR in dB, the decay time, the ids of the other sounds.
    """

    index: int
    sound: Audio
    clean: tuple[Audio, ...]
    recipe: dict[str, float | str]


@dataclass(frozen=True)
class Parts:
    """Clips of speech (their indices) and noises, for training and for the test."""

    train: tuple[int, ...]
    test: tuple[int, ...]
    noises: dict[str, tuple[Clip, ...]]  # "train", "test"


def parts(corpus: Corpus, noises: Corpus | None) -> Parts:
    """The clips and noises of training and test mixtures.

    Raises:
        CorpusError: too few clips of speech, or too few sources of noise.
    """
    speech = tuple(clip for clip in corpus if corpus.is_speech(clip))
    indices = {clip.id: index for index, clip in enumerate(corpus)}
    chosen = replace(corpus, clips=speech, trials=())
    try:
        split = splits.by_speaker(chosen)
    except CorpusError:  # few speakers
        split = splits.of_clips(chosen)
    train, test = (tuple(indices[speech[i].id] for i in part) for part in (split.train, split.test))
    return Parts(train, test, {} if noises is None else _split_by_source(noises))


def two_speakers(split: Parts, corpus: Corpus) -> Parts:
    """The same parts; CorpusError if a part has clips of one speaker alone."""
    for part, indices in (("train", split.train), ("test", split.test)):
        speakers = {corpus.clips[index].speaker for index in indices} - {None}
        if len(speakers) < 2:
            raise CorpusError(
                f"{corpus.name} has {len(speakers)} speakers in its clips to {part}: mixtures of "
                "two speakers need two"
            )
    return split


def noise_corpus(name: str) -> Corpus:
    """All clips of this corpus that are not speech; CorpusError if there are none.

    The corpus is never downloaded, since its name may come from the suite file of another person.
    """
    corpus = data.load(Recorded(name, "the task enhance", "audiotok bench --data {}"))
    clips = tuple(clip for clip in corpus if not _is_speech(corpus, clip))
    if not clips:
        raise CorpusError(f"{corpus.name} has no noises: all its clips are speech")
    return replace(corpus, clips=clips)


@cache
def bundled_noises() -> Corpus:
    """The everyday sounds of the bundled corpus: enough to try the task."""
    corpus = data.load("bundled")
    return replace(corpus, clips=tuple(clip for clip in corpus if clip.label == "sound"))


def _is_speech(corpus: Corpus, clip: Clip) -> bool:
    """As `Corpus.is_speech`, but clips without text, speaker and domain are noises."""
    return corpus.is_speech(clip) and bool(clip.text or clip.speaker or clip.domain)


def _split_by_source(noises: Corpus) -> dict[str, tuple[Clip, ...]]:
    """The splits of the corpus where it has them; else a fifth of the sources is for the test."""
    source = {clip: clip.session or str(clip.path) for clip in noises}
    if any(clip.split for clip in noises):
        test = {source[clip] for clip in noises if clip.split == "test"}
        train = {source[clip] for clip in noises if clip.split == "train"} - test
    else:
        first_ids: dict[str, str] = {}
        for clip, name in source.items():
            first_ids[name] = min(clip.id, first_ids.get(name, clip.id))
        ordered = sorted(first_ids, key=lambda name: _sha256(first_ids[name]))
        test = set(ordered[: max(1, round(len(ordered) / TEST_EVERY))])
        train = set(ordered) - test
    if not train or not test:
        raise CorpusError(
            f"{noises.name} has {len(set(source.values()))} sources of noise: expected two or "
            "more, one to train on and one to test"
        )
    return {
        part: tuple(clip for clip in noises if source[clip] in names)
        for part, names in (("train", train), ("test", test))
    }


def with_noise(corpus: Corpus, split: Parts, part: str, number: int) -> Mixture:
    """The mixture with this number: of one speaker with noise, some in a room."""
    index, seconds, generator = _chosen(corpus, split, part, number)
    clean = excerpt(corpus.clips[index], seconds, generator)
    noises = split.noises[part]
    noise = noises[generator.integers(len(noises))]
    snr = float(generator.uniform(*PROTOCOL.snr))
    recipe: dict[str, float | str] = {"snr": snr, "noise": noise.id}
    speech = clean.waveform[0].double().numpy()
    if generator.random() < PROTOCOL.reverberant:
        decay = float(generator.uniform(*PROTOCOL.decay))
        room = rooms.random_room(generator, decay)
        response = rooms.impulse_response(room, clean.sample_rate)
        speech = fftconvolve(speech, response)[: len(speech)]
        recipe["decay"] = decay
    samples = _sound(noise).resample(clean.sample_rate).waveform[0].double().numpy()
    start = generator.integers(len(samples))
    background = np.take(samples, np.arange(start, start + len(speech)), mode="wrap")
    gain = _level(speech) / max(_level(background), 1e-9) * 10 ** (-snr / 20)
    return _mixture(index, speech + gain * background, (clean,), recipe)


def of_two_speakers(corpus: Corpus, split: Parts, part: str, number: int) -> Mixture:
    """The mixture with this number: of two speakers, cut to the shorter one."""
    index, seconds, generator = _chosen(corpus, split, part, number)
    first = corpus.clips[index]
    if first.speaker is None:
        raise CorpusError(f"{corpus.name}: the clip {first.id} has no speaker")
    clips = (corpus.clips[i] for i in _ordered(corpus, getattr(split, part)))
    candidates = [clip for clip in clips if clip.speaker and clip.speaker != first.speaker]
    if not candidates:
        raise CorpusError(f"{corpus.name}: no other speaker for the clip {first.id}")
    second = candidates[generator.integers(len(candidates))]
    sounds = [excerpt(clip, seconds, generator) for clip in (first, second)]
    rate = sounds[0].sample_rate
    sounds[1] = sounds[1].resample(rate)
    length = min(sound.num_samples for sound in sounds)
    speech = [sound.waveform[0, :length].double().numpy() for sound in sounds]
    level = float(generator.uniform(-PROTOCOL.level, PROTOCOL.level))
    gain = _level(speech[0]) / max(_level(speech[1]), 1e-9) * 10 ** (level / 20)
    speech[1] = gain * speech[1]
    clean = tuple(_audio(samples, rate) for samples in speech)
    return _mixture(index, sum(speech), clean, {"level": level, "other": second.id})


def _ordered(corpus: Corpus, indices: Sequence[int]) -> list[int]:
    """Clips in an order that depends on their ids alone."""
    return sorted(indices, key=lambda index: _sha256(corpus.clips[index].id))


def _chosen(
    corpus: Corpus, split: Parts, part: str, number: int
) -> tuple[int, float, np.random.Generator]:
    """The clip of a mixture, how many seconds of it, and a generator seeded by its id."""
    ordered = _ordered(corpus, getattr(split, part))
    index, repetition = ordered[number % len(ordered)], number // len(ordered)
    seed = int(_sha256(f"{part} {repetition} {corpus.clips[index].id}")[:16], 16)
    seconds = PROTOCOL.train_seconds if part == "train" else PROTOCOL.test_seconds
    return index, seconds, np.random.default_rng(seed)


def excerpt(clip: Clip, seconds: float, generator: np.random.Generator) -> Audio:
    """At most `seconds` seconds of a clip, mono; AudioError if they are silent."""
    sound = clip.original().to_channels(1)
    length = min(sound.num_samples, round(seconds * sound.sample_rate))
    start = int(generator.integers(sound.num_samples - length + 1))
    cut = replace(sound, waveform=sound.waveform[:, start : start + length])
    if not cut.waveform.any():
        raise AudioError(f"{clip.id} is silent from {start / sound.sample_rate:.1f} s on")
    return cut


def _mixture(
    index: int, samples: np.ndarray, clean: Sequence[Audio], recipe: dict[str, float | str]
) -> Mixture:
    """All sounds scaled down together if the mixture would exceed full scale."""
    scale = min(1.0, 0.99 / max(float(np.abs(samples).max()), 1e-9))
    rate = clean[0].sample_rate
    scaled = tuple(Audio(speech.waveform * scale, rate) for speech in clean)
    return Mixture(index, _audio(samples * scale, rate), scaled, recipe)


def _audio(samples: np.ndarray, rate: int) -> Audio:
    return Audio(torch.from_numpy(np.ascontiguousarray(samples)).float()[None], rate)


def _level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.square(samples).mean()))


@lru_cache(maxsize=64)  # noises of FSD50K have up to 30 s
def _sound(clip: Clip) -> Audio:
    return clip.original().to_channels(1)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
