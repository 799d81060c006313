"""The conformance kit: what every codec promises, checked on sounds made here.

    from audiotok.testing import check_codec
    check_codec(audiotok.load("my_codec.py"))

The suite runs it on every codec of this package, and a codec of somebody else's can run it too.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from audiotok.audio import Audio, resampled_length
from audiotok.codec import Codec
from audiotok.errors import AudiotokError
from audiotok.metrics._check import check_metric
from audiotok.tokens import Tokens

__all__ = ["check_codec", "check_metric"]


def check_codec(codec: Codec) -> None:
    """Raises AssertionError with one line that says which promise is broken, and how."""
    for check in (
        check_card,
        check_codes,
        check_bytes,
        check_lengths,
        check_determinism,
        check_batch,
        check_windows,
        check_modes,
        check_refusals,
        check_global_state,
    ):
        check(codec)


def signals(sample_rate: int) -> dict[str, Audio]:
    """Six sounds that codecs get wrong: tone, stereo sweep, noise, silence, click, one sample."""
    rng = np.random.default_rng(0)
    time = np.arange(int(0.8 * sample_rate)) / sample_rate
    click = np.zeros(sample_rate // 4)
    click[len(click) // 2] = 0.9
    sweep = 0.4 * np.sin(2 * math.pi * (100 * time + 1500 * time**2))
    waveforms = {
        "tone": (0.5 * np.sin(2 * math.pi * 440 * time), sample_rate),
        "stereo sweep at 44.1 kHz": (np.stack([sweep, 0.5 * sweep]), 44_100),
        "noise": (0.1 * rng.standard_normal(sample_rate // 2 + 7), sample_rate),
        "silence": (np.zeros(sample_rate // 3), sample_rate),
        "click": (click, sample_rate),
        "one sample": (np.array([0.25]), sample_rate),
    }
    return {
        name: Audio(torch.from_numpy(np.atleast_2d(samples)).float(), rate)
        for name, (samples, rate) in waveforms.items()
    }


def check_card(codec: Codec) -> None:
    """The card says of codes what the codec does, and numbers that can be derived agree."""
    card = codec.card
    _that(
        codec, card.name.split(":")[0] in [c.name for c in codec.CARDS], "its card is none of CARDS"
    )
    _that(
        codec, codec.fingerprint == type(codec).fingerprint.func(codec), "its fingerprint changes"
    )
    _that(codec, len(codec.fingerprint) == 64, "its fingerprint is not a hex sha256")
    codebooks = codec._codebooks()
    if codebooks is not None:
        sizes = tuple(len(codebook) for codebook in codebooks)
        _that(codec, sizes == card.codebook_sizes, f"its codebooks have {sizes} vectors")
        _that(codec, all(b.isfinite().all() for b in codebooks), "its codebooks are not finite")
    _that(codec, not card.streamable or card.lookahead is not None, "streamable without lookahead")


def check_codes(codec: Codec) -> None:
    """int64 codes (1, K, T) in range, T = num_frames, and a bitrate that grows with K."""
    for name, audio in signals(codec.card.sample_rate_in).items():
        tokens = codec.encode(audio)
        shape = tuple(tokens.codes.shape)
        length = resampled_length(audio.num_samples, audio.sample_rate, codec.card.sample_rate_in)
        frames = shape[2] if codec.card.byte_stream else codec.num_frames(length)
        expected = (1, codec.num_codebooks, frames)
        _that(codec, shape == expected, f"codes of {name} are {shape}, not {expected}")
        _that(codec, tokens.codes.dtype == torch.int64, f"codes are {tokens.codes.dtype}")
        bitrates = [tokens.first(k + 1).bitrate for k in range(codec.num_codebooks)]
        _that(codec, bitrates == sorted(bitrates), f"bitrates by codebooks fall: {bitrates}")
        _that(
            codec,
            not tokens.codes.is_inference(),
            "codes are inference tensors, which cannot be trained on",
        )


def check_bytes(codec: Codec) -> None:
    """Tokens that went through a file decode to the same sound; those of others are refused."""
    tokens = codec.encode(signals(codec.card.sample_rate_in)["noise"])
    again = Tokens.from_bytes(tokens.to_bytes())
    _same(codec, codec.decode(tokens), codec.decode(again), "tokens after a round trip as bytes")
    foreign = Tokens(
        tokens.codes, "another", "0" * 64, tokens.num_samples, tokens.sample_rate,
        tokens.codebook_sizes, tokens.strides,
    )  # fmt: skip
    _refuses(codec, lambda: codec.decode(foreign), "tokens of another fingerprint")


def check_lengths(codec: Codec) -> None:
    """The reconstruction is exactly as long as the source, at its rate and at others."""
    hop = codec.hop_length if codec.hop_length > 1 else 320
    for sample_rate in (codec.card.sample_rate_in, 8_000, 11_025, 44_099, 48_000):
        for num_samples in (1, hop - 1, hop, hop + 1, 3 * hop + 17):
            noise = torch.randn(1, num_samples, generator=torch.Generator().manual_seed(1))
            audio = Audio(0.1 * noise, sample_rate)
            found = codec.reconstruct(audio)
            _that(
                codec,
                (found.num_samples, found.sample_rate) == (num_samples, sample_rate),
                f"{num_samples} samples at {sample_rate} Hz came back as {found.num_samples} "
                f"at {found.sample_rate} Hz",
            )


def check_determinism(codec: Codec) -> None:
    """The same sound gives the same codes, the same codes the same sound."""
    for name, audio in signals(codec.card.sample_rate_in).items():
        first, second = codec.encode(audio), codec.encode(audio)
        same = torch.equal(first.codes, second.codes)
        _that(codec, same, f"two encodings of {name} differ")
        _same(codec, codec.decode(first), codec.decode(first), f"two decodings of {name}")


def check_batch(codec: Codec) -> None:
    """A strict batch equals its clips one by one; a batch by length keeps order and shapes."""
    audios = list(signals(codec.card.sample_rate_in).values())
    audios.append(audios[0])
    single = [codec.encode(audio) for audio in audios]
    for one, other in zip(single, codec.encode_batch(audios), strict=True):
        _that(
            codec, torch.equal(one.codes, other.codes), "a strict batch differs from single clips"
        )
    for one, other in zip(single, codec.encode_batch(audios, batch="length"), strict=True):
        same = one.codes.shape == other.codes.shape and one.num_samples == other.num_samples
        _that(codec, same, "a batch by length changes shapes or their order")
    for audio, sound in zip(audios, codec.decode_batch(single, batch="length"), strict=True):
        length = resampled_length(audio.num_samples, audio.sample_rate, codec.sample_rate)
        _that(codec, sound.num_samples == length, "a decoded batch by length changes lengths")


def check_windows(codec: Codec) -> None:
    """Long sound goes through the network in windows: none is longer than promised."""
    if codec.card.byte_stream:
        return
    rate = codec.card.sample_rate_in
    longest = 0

    def watch(name: str) -> Callable:
        original = getattr(codec, name)

        def watched(batch: torch.Tensor) -> torch.Tensor:
            nonlocal longest
            frames = batch.shape[-1] / (codec.hop_length if name == "_encode" else 1)
            longest = max(longest, frames / codec.frame_rate)
            return original(batch)

        return watched

    audio = Audio(0.1 * torch.randn(1, 6 * rate, generator=torch.Generator().manual_seed(2)), rate)
    changed = {"window_seconds": 1.0, "context_seconds": 0.25}
    changed |= {name: watch(name) for name in ("_encode", "_decode")}
    with _attributes(codec, changed):
        tokens = codec.encode(audio)
        one_piece = type(codec)._encode_windows is not Codec._encode_windows
        longest = 0 if one_piece else longest
        sound = codec.decode(tokens)
    limit = 1.5 + 2 * codec._unit / codec.frame_rate
    _that(codec, longest <= limit, f"a window has {longest:.2f} s, more than {limit:.2f} s")
    _that(codec, tokens.num_frames == codec.num_frames(6 * rate), "windows change num_frames")
    _that(codec, sound.num_samples == 6 * codec.sample_rate, "windows change the length")


def check_modes(codec: Codec) -> None:
    """Training mode changes no code, and is as it was afterwards."""
    if codec.network is None:
        return
    audio = signals(codec.card.sample_rate_in)["noise"]
    expected = codec.encode(audio)
    codec.network.train()
    try:
        found = codec.encode(audio)
        _that(codec, torch.equal(expected.codes, found.codes), "train() changes the codes")
        _that(codec, codec.network.training, "encode leaves the network in another mode")
    finally:
        codec.network.eval()


def check_refusals(codec: Codec) -> None:
    """What cannot be coded is refused with an error of audiotok's, in one line."""
    rate = codec.card.sample_rate_in
    for what, source in (
        ("NaN", (np.array([0.0, math.nan]), rate)),
        ("infinity", (np.array([0.0, math.inf]), rate)),
        ("no samples", (np.zeros(0), rate)),
        ("three channels", (np.zeros((3, 100)), rate)),
        ("a rate of 0", (np.zeros(100), 0)),
        ("a rate in words", (np.zeros(100), str(rate))),
        ("a missing file", "no/such/file.wav"),
    ):
        _refuses(codec, lambda source=source: codec.encode(source), what)
    if not codec.card.byte_stream:
        tokens = codec.encode((np.zeros(codec.hop_length), rate))
        longer = Tokens(
            tokens.codes, tokens.codec, tokens.fingerprint, 10**9, rate,
            tokens.codebook_sizes, tokens.strides,
        )  # fmt: skip
        _refuses(codec, lambda: codec.decode(longer), "a number of samples that does not fit")


def check_global_state(codec: Codec) -> None:
    """Encoding and decoding leave threads, gradient mode, default type and random states alone."""

    def state() -> tuple:
        return (
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_default_dtype(),
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.allow_tf32,
            torch.get_rng_state().numpy().tobytes(),
            str(np.random.get_state()),
            random.getstate(),
        )

    torch.rand(1), np.random.rand(), random.random()  # no state that a seed leaves
    before = state()
    codec.reconstruct(signals(codec.card.sample_rate_in)["tone"])
    names = (
        "threads", "gradient mode", "inference mode", "default dtype", "deterministic algorithms",
        "TF32", "torch's random state", "numpy's random state", "Python's random state",
    )  # fmt: skip
    for name, old, new in zip(names, before, state(), strict=True):
        _that(codec, old == new, f"it changes {name}")


def _that(codec: Codec, holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(f"{codec.card.name}: {otherwise}")


def _same(codec: Codec, one: Audio, other: Audio, what: str) -> None:
    _that(codec, torch.equal(one.waveform, other.waveform), f"{what} give different sounds")


def _refuses(codec: Codec, call: Callable[[], object], what: str) -> None:
    try:
        call()
    except AudiotokError as reason:
        _that(codec, "\n" not in str(reason), f"the message on {what} has several lines")
    except Exception as reason:
        raise AssertionError(
            f"{codec.card.name}: {what} raises {type(reason).__name__}, not an AudiotokError"
        ) from reason
    else:
        raise AssertionError(f"{codec.card.name}: {what} is not refused")


@contextmanager
def _attributes(codec: Codec, values: dict[str, object]) -> Iterator[None]:
    """Sets attributes of this one codec for a while."""
    for name, value in values.items():
        setattr(codec, name, value)
    try:
        yield
    finally:
        for name in values:
            delattr(codec, name)
