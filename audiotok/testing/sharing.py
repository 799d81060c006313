"""Promises on independence: clips of a batch, lookahead, windows of a long sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from audiotok.codec.codec import Codec
from audiotok.sound.audio import Audio, resampled_length
from audiotok.testing.case import MOST_CHANGED, Case
from audiotok.testing.promise import NotChecked, promise
from audiotok.testing.sounds import audio, noise, voice


@promise("batches", "a strict batch equals its clips one by one; one by length keeps them apart")
def batches(case: Case) -> Iterator[str]:
    codec, rate = case.codec, case.card.sample_rate_in
    names = list(case.sounds)
    audios = [case.sounds[name] for name in names]
    for name, tokens in zip(names, codec.encode_batch(audios), strict=True):
        if not torch.equal(case.tokens(name).codes, tokens.codes):
            yield f"{name} has other codes in a strict batch than alone"
    if case.card.byte_stream:
        return
    equal_length = [audio(voice(rate, 0.6, seed), rate) for seed in range(3)]
    equal_length += [noise(equal_length[0].num_samples, rate), audios[0]]
    single = [codec.encode(clip) for clip in equal_length]
    batched = codec.encode_batch(equal_length, batch="length")
    for alone, other in zip(single, batched, strict=True):
        if alone.codes.shape != other.codes.shape or alone.num_samples != other.num_samples:
            yield "a batch by length changes shapes, or the order of its clips"
    changed = sum(int((a.codes != b.codes).sum()) for a, b in zip(single, batched, strict=True))
    share = changed / sum(tokens.codes.numel() for tokens in single)
    case.numbers["share of codes changed in a batch"] = share
    if share > MOST_CHANGED:
        yield f"{share:.1%} of the codes change in a batch by length: its clips are not kept apart"
    if not case.decodes:
        return
    sounds = codec.decode_batch(single, batch="length")
    error = 0.0
    for clip, tokens, sound in zip(equal_length, single, sounds, strict=True):
        length = resampled_length(clip.num_samples, clip.sample_rate, codec.sample_rate)
        if sound.num_samples != length:
            yield f"a batch by length decodes to {sound.num_samples} samples, not {length}"
        alone = codec.decode(tokens).waveform
        peak = max(float(alone.abs().max()), 1e-6)
        error = max(error, float((alone - sound.waveform).abs().max()) / peak)
    case.numbers["change of the sound in a batch, of its peak"] = error
    if error > MOST_CHANGED:
        yield f"the sound changes by {error:.2g} of its peak in a batch: clips are not kept apart"


@promise("lookahead", "no code depends on sound farther past its frame than the card says")
def lookahead(case: Case) -> Iterator[str]:
    codec, card = case.codec, case.card
    if card.byte_stream:
        raise NotChecked("does not apply: a byte stream has no frames")
    rate, hop, allowed = card.sample_rate_in, card.hop_length, card.lookahead
    frames = max(32, math.ceil(1.5 * card.frame_rate))
    sound = audio(voice(rate, 1 + frames * hop / rate), rate).waveform[:, : frames * hop]
    sound = sound.repeat(card.channels, 1)
    if hop == 1:
        frames = sound.shape[1]
    codes = codec.encode(Audio(sound, rate)).codes
    farthest = after = 0
    for cut in _cuts(frames, hop, card.strides):
        for future, changed in _futures(sound, cut, rate, hop):
            new_codes = codec.encode(Audio(changed, rate)).codes
            differs = (new_codes != codes[..., : new_codes.shape[-1]]).any(0)  # (K, T)
            before = cut // hop  # frames that end where the future begins, or earlier
            after += int(differs[:, before:].sum()) if future != "an end" else 0
            early = differs[:, :before].nonzero()  # codes that depend on the future
            if not len(early):
                continue
            codebook, frame = early[early[:, 1].argmin()].tolist()
            distance = cut - (frame + 1) * hop + 1  # the nearest sample that was changed
            farthest = max(farthest, distance)
            if allowed is not None and distance > allowed:
                yield (
                    f"code {frame} of codebook {codebook} depends on sound {distance} samples or "
                    f"more past its frame, for {future} there changes it; the card says {allowed}"
                )
    if not after:
        raise NotChecked("its codes do not change with the sound")
    case.numbers["lookahead seen, samples"] = farthest
    case.numbers["lookahead seen, ms"] = 1000 * farthest / rate
    if allowed is not None:
        case.numbers["lookahead on the card, samples"] = allowed


def _cuts(frames: int, hop: int, strides: tuple[int, ...]) -> list[int]:
    """Positions at which the sound is changed: at both ends of frames, at phases of the strides.

    They are in the second half, because reflection padding may give the first frames more
    lookahead.
    """
    period = math.lcm(*strides)
    middle = frames // 2 // period * period
    phases = sorted({0, 1, period // 2, max(1, period - 1)})
    return [(middle + phase) * hop + offset for phase in phases for offset in {0, hop - 1}]


def _futures(
    sound: torch.Tensor, cut: int, rate: int, hop: int
) -> Iterator[tuple[str, torch.Tensor]]:
    """Variants of the sound (C, L) that are equal up to sample `cut` and differ after it."""
    past, rest = sound[:, :cut], sound.shape[1] - cut
    loud = 5 * noise(rest, rate, len(sound), seed=cut).waveform
    yield "noise", torch.cat([past, loud], 1)
    if cut % hop == 0:
        yield "silence", torch.cat([past, torch.zeros_like(loud)], 1)
        yield "an end", past


@promise("windows", "of a long sound the network sees windows of bounded length")
def windows(case: Case) -> Iterator[str]:
    codec, card = case.codec, case.card
    if card.byte_stream:
        raise NotChecked("does not apply: a byte stream is one piece")
    rate, seconds = card.sample_rate_in, 6
    longest = {"_encode": 0.0, "_decode": 0.0}

    def watch(name: str) -> Callable:
        original, hop = getattr(codec, name), codec.hop_length if name == "_encode" else 1

        def watched(batch: torch.Tensor) -> torch.Tensor:
            longest[name] = max(longest[name], batch.shape[-1] / hop / codec.frame_rate)
            return original(batch)

        return watched

    changed = {"window_seconds": 1.0, "context_seconds": 0.25}
    changed |= {name: watch(name) for name in longest}
    with _attributes(codec, changed):
        tokens = codec.encode(noise(seconds * rate, rate))
        sound = codec.decode(tokens) if case.decodes else None
    limit = 1.5 + 2 * codec._unit / codec.frame_rate
    for name in longest:
        method = f"{name}_windows"
        if getattr(type(codec), method) is getattr(
            Codec, method
        ):  # else the family has its own chunks
            if longest[name]:  # 0 if the codec runs in pieces, which are never long
                case.numbers[f"longest window of {name}, seconds"] = longest[name]
            if longest[name] > limit:
                yield f"a window has {longest[name]:.2f} s in {name}, more than {limit:.2f} s"
    if tokens.num_frames != codec.num_frames(seconds * rate):
        yield f"windows change the number of frames to {tokens.num_frames}"
    if sound is not None and sound.num_samples != seconds * codec.sample_rate:
        yield f"windows change the length to {sound.num_samples} samples"


@contextmanager
def _attributes(codec: Codec, values: dict[str, object]) -> Iterator[None]:
    """Sets attributes of this codec object in the block."""
    before = {name: vars(codec)[name] for name in values if name in vars(codec)}
    vars(codec).update(values)
    try:
        yield
    finally:
        for name in values:
            del vars(codec)[name]
        vars(codec).update(before)
