"""Promises on codes and lengths: consistent with the card, in range, repeatable, exact length."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from functools import cached_property

import torch

from audiotok.codec.codec import Codec
from audiotok.sound.audio import Audio, resampled_length
from audiotok.testing.case import Case
from audiotok.testing.promise import promise, trying
from audiotok.testing.sounds import noise

SECONDS = 10  # of the longest tested sound
SAMPLE_RATES = (
    8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_099, 44_100, 48_000, 88_200, 96_000,
)  # fmt: skip


@promise("card", "what the card says of codes is what the codec has, and its numbers agree")
def card(case: Case) -> Iterator[str]:
    codec, card = case.codec, case.card
    base_name = card.base_name
    if base_name not in [c.name for c in codec.CARDS] and not codec.PREFIX and "@" not in base_name:
        yield f"its card {base_name} is none of CARDS"
    recomputed = _fingerprint_again(codec)
    if codec.fingerprint != recomputed:
        yield f"its fingerprint changes from {codec.fingerprint[:12]} to {recomputed[:12]}"
    if not re.fullmatch("[0-9a-f]{64}", codec.fingerprint):
        yield f"its fingerprint {codec.fingerprint[:80]!r} is not a hex sha256"
    yield from _codebooks(case)
    counts = card.codebook_counts
    if list(counts) != sorted(set(counts)) or not set(counts) <= set(range(1, len(_sizes(case)))):
        yield f"codebook_counts {counts} are not rising numbers up to {card.num_codebooks}"
    if min(card.strides) < 1:
        yield f"strides {card.strides} are not all 1 or more"
    for word, on_card in (("streamable", card.streamable), ("causal", card.causal)):
        if on_card and card.lookahead is None:
            yield f"the card says {word}, but not what its lookahead is"
    for name in ("num_codebooks", "codebook_sizes", "hop_length", "frame_rate"):
        if getattr(codec, name) != getattr(card, name):
            yield f"its {name} is {getattr(codec, name)}, on its card {getattr(card, name)}"
    if codec.sample_rate != card.sample_rate_out:
        yield f"its sample_rate is {codec.sample_rate}, on its card {card.sample_rate_out}"


def _fingerprint_again(codec: Codec) -> str:
    """The fingerprint, computed without the cached value."""
    attribute = inspect.getattr_static(type(codec), "fingerprint")
    return attribute.func(codec) if isinstance(attribute, cached_property) else codec.fingerprint


def _sizes(case: Case) -> range:
    return range(case.card.num_codebooks + 1)


def _codebooks(case: Case) -> Iterator[str]:
    codebooks, card = case.codec._codebooks(), case.card
    if codebooks is None:
        return
    sizes = tuple(len(codebook) for codebook in codebooks)
    if sizes[: card.num_codebooks] != card.codebook_sizes:  # a card may have only the first ones
        yield f"its codebooks have {sizes} vectors, on its card {card.codebook_sizes}"
    for k, codebook in enumerate(codebooks):
        if not codebook.isfinite().all():
            yield f"codebook {k} is not finite"


@promise("codes", "int64 codes (C, K, T) in range for any sound, and a bitrate right to the bit")
def in_range(case: Case) -> Iterator[str]:
    codec, card = case.codec, case.card
    used: set[int] = set()
    for name, audio in case.sounds.items():
        tokens = case.tokens(name)
        length = resampled_length(audio.num_samples, audio.sample_rate, card.sample_rate_in)
        shape = tuple(tokens.codes.shape)
        frames = shape[2] if card.byte_stream else codec.num_frames(length)
        expected = (case.separate(audio), card.num_codebooks, frames)
        if shape != expected:
            yield f"codes of {name} are {shape}, not {expected}"
        if tokens.codes.dtype != torch.int64:
            yield f"codes of {name} are {tokens.codes.dtype}, not torch.int64"
        for k, size in enumerate(card.codebook_sizes):
            low, high = (int(edge) for edge in torch.aminmax(tokens.codes[:, k]))
            if low < 0 or high >= size:
                yield f"codes {low} to {high} of {name} in codebook {k} are not in 0..{size - 1}"
        if tokens.codes.is_inference():
            yield f"codes of {name} are inference tensors, which cannot be trained on"
        description = (tokens.codec, tokens.fingerprint, tokens.num_samples, tokens.sample_rate)
        if description != (card.name, codec.fingerprint, audio.num_samples, audio.sample_rate):
            yield f"the tokens of {name} are described as {description}"
        if (tokens.codebook_sizes, tokens.strides) != (card.codebook_sizes, card.strides):
            yield f"the tokens of {name} say sizes and strides that its card does not"
        if not math.isclose(tokens.num_bits, case.num_bits(tokens), rel_tol=1e-12):
            yield f"{name} has {tokens.num_bits} bits, by its card {case.num_bits(tokens)}"
        used.update(tokens.codes[:, 0].unique().tolist())
        if not case.decodes:
            continue
        with trying(f"decoding {name}"):
            sound = codec.decode(tokens)
        num_samples = resampled_length(audio.num_samples, audio.sample_rate, card.sample_rate_out)
        if (sound.num_samples, sound.sample_rate) != (num_samples, card.sample_rate_out):
            yield f"{name} decodes to {sound.num_samples} samples at {sound.sample_rate} Hz"
    case.numbers["codes of the first codebook seen"] = len(used)


@promise("repeatable", "the same sound gives the same codes, the same codes the same sound")
def repeatable(case: Case) -> Iterator[str]:
    for name, audio in case.sounds.items():
        first, second = case.tokens(name), case.codec.encode(audio)
        if not torch.equal(first.codes, second.codes) or not _same_side(first, second):
            yield f"two encodings of {name} differ{_where(first.codes, second.codes)}"
        if not case.decodes:
            continue
        if not torch.equal(case.codec.decode(first).waveform, case.codec.decode(first).waveform):
            yield f"two decodings of {name} differ"


def _same_side(one, other) -> bool:
    if one.side is None or other.side is None:
        return one.side is other.side
    return torch.equal(one.side, other.side)


def _where(one: torch.Tensor, other: torch.Tensor) -> str:
    if one.shape != other.shape:
        return f": {tuple(one.shape)} and {tuple(other.shape)}"
    different = (one != other).nonzero()
    return f", first at codebook {different[0, 1]}, frame {different[0, 2]}" * bool(len(different))


@promise("lengths", "what comes back is exactly as long as the source, from 1 sample to 10 s")
def lengths(case: Case) -> Iterator[str]:
    rate, hop = case.card.sample_rate_in, case.hop
    tested_lengths = (
        1,
        2,
        hop - 1,
        hop,
        hop + 1,
        2 * hop - 1,
        3 * hop + 17,
        7 * hop,
        SECONDS * rate,
    )
    for num_samples in tested_lengths:
        yield from _comes_back(case, noise(num_samples, rate))
    for channels in (1, 2) if case.decodes else ():
        sound = case.codec.reconstruct(noise(2 * hop + 1, rate, channels))
        expected = channels if case.codec.options.get("channels") == "each" else case.card.channels
        if sound.channels != expected:
            yield f"{channels} channels came back as {sound.channels}, not {expected}"


@promise("sample rates", "sound at 8 to 96 kHz is resampled to the codec's rate and back")
def sample_rates(case: Case) -> Iterator[str]:
    rate_in, hop = case.card.sample_rate_in, case.hop
    for rate in SAMPLE_RATES:
        for num_samples in (1, hop + 1, rate // 4 + 3):
            yield from _comes_back(case, noise(num_samples, rate))
        audio = noise(rate // 4, rate)
        with trying(f"encoding at {rate} Hz"):
            codes = case.codec.encode(audio).codes
            expected = case.codec.encode(audio.resample(rate_in)).codes
        if not torch.equal(codes, expected):
            yield f"codes of sound at {rate} Hz are not those of the same resampled to {rate_in} Hz"


def _comes_back(case: Case, audio: Audio) -> Iterator[str]:
    what = f"{audio.num_samples} samples at {audio.sample_rate} Hz"
    if not case.decodes:  # `codes` tests the number of frames
        with trying(f"encoding {what}"):
            tokens = case.codec.encode(audio)
        if (tokens.num_samples, tokens.sample_rate) != (audio.num_samples, audio.sample_rate):
            yield f"the tokens of {what} say {tokens.num_samples} at {tokens.sample_rate} Hz"
        return
    with trying(f"reconstructing {what}"):
        reconstruction = case.codec.reconstruct(audio)
    if (reconstruction.num_samples, reconstruction.sample_rate) != (
        audio.num_samples,
        audio.sample_rate,
    ):
        yield f"{what} came back as {reconstruction.num_samples} at {reconstruction.sample_rate} Hz"
