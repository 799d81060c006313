"""Promises on options of the name: codebooks, channels, merge, precision."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from safetensors.torch import load as from_safetensors

from audiotok.sound.audio import Audio, resampled_length
from audiotok.testing.case import MOST_CHANGED, Case
from audiotok.testing.promise import NotChecked, promise, trying
from audiotok.testing.refusals import refuses
from audiotok.testing.sounds import noise
from audiotok.tokens.tokens import Tokens

_MOST_BUILT = 4  # instances for which the network is built again


def _applies(case: Case) -> None:
    for kind, holds in (
        ("a byte stream", case.card.byte_stream),
        ("a classical baseline", case.card.kind == "baseline"),
    ):
        if holds:
            raise NotChecked(f"does not apply: {kind} takes no such option")


@promise("codebooks", "codebooks=k stops early with the right bitrate; other numbers are refused")
def codebooks(case: Case) -> Iterator[str]:
    _applies(case)
    codec, counts = case.codec, case.card.codebook_counts
    if len(counts) == 1:
        raise NotChecked("does not apply: the card has no smaller number of codebooks")
    full = case.tokens("a voice")
    num_samples = codec.decode(full).num_samples if case.decodes else None
    for k in counts if case.decodes else ():
        with trying(f"decoding the first {k} codebooks"):
            sound = codec.decode(full.first(k))
        if sound.num_samples != num_samples:
            yield f"the first {k} codebooks decode to {sound.num_samples} samples"
    changed = total = 0
    for k in _spread(counts):
        stopped = case.variant(codebooks=k, merge=_first_rates(case, k))
        with trying(f"encoding with codebooks={k}"):
            tokens = stopped.encode(case.sounds["a voice"])
        first = full.first(k)
        if tokens.codes.shape != first.codes.shape:
            yield f"codebooks={k} gives codes {tuple(tokens.codes.shape)}"
        if not math.isclose(tokens.bitrate, case.num_bits(first) / first.duration):
            yield f"codebooks={k} has {tokens.bitrate:g} bit/s, not {first.bitrate:g}"
        if tokens.fingerprint != full.fingerprint:
            yield f"codebooks={k} has another fingerprint, so that tokens cannot be exchanged"
        changed += int((tokens.codes != first.codes).sum())
        total += tokens.codes.numel()
        if case.decodes and not torch.equal(
            stopped.decode(tokens).waveform, codec.decode(tokens).waveform
        ):
            yield f"codebooks={k} decodes to another sound than the whole codec makes of its codes"
    share = case.numbers["share of codes changed by stopping early"] = changed / total
    if share:
        yield f"{share:.2%} of the codes change where later codebooks are left out"
    for k in {-1, 0, *range(1, max(counts)), max(case.plain_card.codebook_counts) + 1}:
        if k not in counts and k not in case.plain_card.codebook_counts:
            yield from refuses(lambda k=k: case.varied(codebooks=k, merge=None), f"codebooks={k}")


def _spread(counts: tuple[int, ...]) -> list[int]:
    """Some of the counts, including the first and the last."""
    if len(counts) <= _MOST_BUILT:
        return list(counts)
    steps = _MOST_BUILT - 1
    return sorted({counts[round(i * (len(counts) - 1) / steps)] for i in range(steps + 1)})


def _first_rates(case: Case, k: int) -> tuple[int, ...] | None:
    rates = case.card.options.get("merge")
    return rates and rates[:k]


@promise("channels", "stereo is kept, mixed or coded per channel, as card and option say")
def channels(case: Case) -> Iterator[str]:
    codec, rate = case.codec, case.card.sample_rate_in
    stereo = noise(9 * case.hop + 3, rate, channels=2)
    stereo.waveform[1] *= 0.1
    if case.decodes and (
        case.card.channels == 2 or case.card.byte_stream or case.card.kind == "baseline"
    ):
        sound = codec.decode(codec.encode(stereo))
        if sound.channels != case.card.channels:
            yield f"stereo came back with {sound.channels} channels, not {case.card.channels}"
        return
    parts = [Audio(channel[None].clone(), rate) for channel in stereo.waveform]
    mix, each = case.variant(channels="mix"), case.variant(channels="each")
    mixed, separate = mix.encode(stereo), each.encode(stereo)
    mono = Audio(stereo.waveform.mean(0, keepdim=True), rate)
    if not torch.equal(mixed.codes, mix.encode(mono).codes):
        yield "channels=mix gives other codes than the mean of both channels"
    if separate.codes.shape != (2, *mixed.codes.shape[1:]):
        yield f"channels=each gives codes {tuple(separate.codes.shape)} of stereo"
    alone = torch.cat([mix.encode(part).codes for part in parts])
    share = float((separate.codes != alone).double().mean())
    case.numbers["share of codes changed by the other channel"] = share
    if share > MOST_CHANGED:
        yield f"{share:.1%} of the codes of a channel change with the other channel"
    if not math.isclose(separate.num_bits, 2 * case.num_bits(mixed)):
        yield f"channels=each has {separate.num_bits:g} bits, not twice {mixed.num_bits:g}"
    if mixed.fingerprint != separate.fingerprint:
        yield "channels=each changes the fingerprint"
    if not case.decodes:
        return
    sound = each.decode(Tokens.from_bytes(separate.to_bytes()))
    if (sound.channels, sound.num_samples) != (2, _length(case, stereo)):
        yield f"channels=each decodes to {sound.channels} channels of {sound.num_samples} samples"


@promise("merge", "merge=m shares codes between m frames; only the free ones are stored")
def merge(case: Case) -> Iterator[str]:
    _applies(case)
    if not case.card.mergeable:
        raise NotChecked("does not apply: the card does not say mergeable")
    count = case.card.num_codebooks
    rate, hop = case.card.sample_rate_in, case.hop
    audios = [case.sounds["a voice"], noise(7 * hop - 2, rate), noise(1, rate)]
    plain, unmerged = case.variant(merge=None), case.variant(merge=(1,) * count)
    for audio in audios:
        if not torch.equal(plain.encode(audio).codes, unmerged.encode(audio).codes):
            yield "merge=1 changes the codes"
    for rates in ((2,), (3,) * count):
        merged = case.variant(merge=rates)
        name, card = merged.card.name, merged.card
        all_rates = rates + (1,) * (count - len(rates))
        strides = tuple(s * r for s, r in zip(plain.card.strides, all_rates, strict=True))
        if card.strides != strides:
            yield f"{name} has strides {card.strides}, not {strides}"
        for audio in audios:
            with trying(f"encoding and decoding with {name}"):
                tokens = merged.encode(audio)
                reread = Tokens.from_bytes(tokens.to_bytes())
                sound = merged.decode(reread) if case.decodes else None
            frames, pairs = tokens.num_frames, zip(strides, card.codebook_sizes, strict=True)
            bits = sum(-(-frames // stride) * math.log2(size) for stride, size in pairs)
            bits *= len(tokens.codes)
            side = 0 if tokens.side is None else 8 * tokens.side.nbytes
            if not math.isclose(tokens.num_bits, bits + side):
                yield f"{name} has {tokens.num_bits:g} bits for {frames} frames, not {bits:g}"
            stored, needed = _stored(tokens), _needed(tokens, strides)
            if stored != needed:
                yield f"a file of {name} has {stored} bytes of codes, the free ones need {needed}"
            if sound is not None and sound.num_samples != _length(case, audio):
                yield f"{name} decodes to {sound.num_samples} samples"
    if plain.card.frame_rate != card.frame_rate or card.bitrate >= plain.card.bitrate:
        yield f"{name} says {card.bitrate:g} bit/s, without merging {plain.card.bitrate:g}"


def _stored(tokens: Tokens) -> int:
    """Bytes of codes in the .atok file."""
    return from_safetensors(tokens.to_bytes())["codes"].numel()


def _needed(tokens: Tokens, strides: tuple[int, ...]) -> int:
    """Bytes that the free codes need, with each codebook padded to whole bytes."""
    counts = [len(tokens.codes) * -(-tokens.num_frames // stride) for stride in strides]
    bits = [(size - 1).bit_length() for size in tokens.codebook_sizes]
    return sum(-(-count * width // 8) for count, width in zip(counts, bits, strict=True))


@promise("fast precision", "precision=fast works, and what it changes is counted")
def fast(case: Case) -> Iterator[str]:
    _applies(case)
    if case.codec.RUNTIME is not None:
        raise NotChecked(f"does not apply: {case.codec.RUNTIME} runs the network")
    quick = case.variant(precision="fast")
    exact = case.variant(precision="exact") if case.codec.fast else case.codec
    names = ("a voice", "noise", "a tone")
    changed = total = 0
    for name in names:
        with trying(f"encoding {name} with precision=fast"):
            tokens = quick.encode(case.sounds[name])
        expected = exact.encode(case.sounds[name])
        if tokens.codes.shape != expected.codes.shape:
            yield f"precision=fast gives codes {tuple(tokens.codes.shape)} of {name}"
        if tokens.fingerprint != expected.fingerprint:
            yield "precision=fast has another fingerprint, so that tokens cannot be exchanged"
        changed += int((tokens.codes != expected.codes).sum())
        total += tokens.codes.numel()
        if not case.decodes:
            continue
        with trying(f"decoding {name} with precision=fast"):
            sound = quick.decode(tokens)
        if sound.num_samples != _length(case, case.sounds[name]):
            yield f"precision=fast decodes {name} to {sound.num_samples} samples"
    case.numbers["share of codes changed by precision=fast"] = changed / total
    yield from refuses(lambda: case.varied(precision="quick"), "precision=quick")


def _length(case: Case, audio: Audio) -> int:
    return resampled_length(audio.num_samples, audio.sample_rate, case.codec.sample_rate)
