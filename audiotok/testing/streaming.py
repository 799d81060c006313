"""The promise on streams: they give the same as the whole sound at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from audiotok.errors import AudiotokError
from audiotok.sound.audio import Audio
from audiotok.testing.case import MOST_ERROR, Case
from audiotok.testing.promise import NotChecked, promise, trying
from audiotok.testing.refusals import refuses
from audiotok.testing.sounds import audio, voice
from audiotok.tokens.tokens import Tokens

MOST_CHANGED = 0.01  # most changed codes, as a share; near ties may be decided differently
LENGTHS = ((30, 0.0), (17, 0.4), (0, 0.0))  # frames, and part of a frame; at least one sample
SIZES = (1, 2, 3, 7)  # frames per chunk; and a mix of these


@promise("streaming", "a stream gives the codes and the sound of the whole, in chunks of any size")
def streaming(case: Case) -> Iterator[str]:
    codec, card = case.codec, case.card
    if not card.streamable:
        with trying("stream()"):
            try:
                codec.stream()
            except AudiotokError as reason:
                raise NotChecked(f"does not apply: {reason}") from None
        yield "stream() works, but the card does not say streamable"
        return
    if codec.fast:
        raise NotChecked(
            "bfloat16 rounds by the length of a piece: check it without precision=fast"
        )
    hop = card.hop_length
    per_frame = hop * card.sample_rate_out // card.sample_rate_in
    worst = {"codes": 0.0, "sound": 0.0}
    for frames, part in LENGTHS:
        sound = _sound(case, max(1, round((frames + part) * case.hop)))
        tokens = codec.encode(sound)
        expected = codec.decode(tokens).waveform
        for sizes in (*((size,) for size in SIZES), _mix()):
            sizes = tuple(size * (case.hop // hop) for size in sizes)
            what = f"{sound.num_samples} samples in chunks of {_chunk_sizes(sizes)} frames"
            with trying(f"a stream of {what}"):
                codes, _ = streamed_codes(codec, sound.waveform, sizes)
                decoded = streamed_sound(codec, tokens, sizes)
            if codes.shape != tokens.codes.shape:
                shapes = tuple(codes.shape), tuple(tokens.codes.shape)
                yield "{} give codes {}, the whole {}".format(what, *shapes)
                continue
            if codes.dtype != torch.int64:
                yield f"a stream gives {codes.dtype} codes"
            changed = codes != tokens.codes
            share = float(changed.double().mean())
            worst["codes"] = max(worst["codes"], share)
            first = changed.any(1).sum() / changed.numel()  # later codebooks change with the first
            if first > MOST_CHANGED:
                yield f"{what}: {share:.1%} of the codes are not those of the whole"
            if decoded.shape != (len(expected), tokens.num_frames * per_frame):
                yield f"{what} decode to {tuple(decoded.shape)}, not whole frames of samples"
                continue
            peak = max(float(expected.abs().max()), 1e-6)
            error = float((decoded[:, : expected.shape[1]] - expected).abs().max()) / peak
            worst["sound"] = max(worst["sound"], error)
            if error > MOST_ERROR:
                yield f"{what}: the sound differs by {error:.2g} of its peak from that of the whole"
    case.numbers["share of codes changed by streaming"] = worst["codes"]
    case.numbers["change of the sound by streaming, of its peak"] = worst["sound"]
    case.numbers["algorithmic latency on the card, ms"] = card.algorithmic_latency_ms
    yield from _held_back(case)
    yield from _refusals(case)


def _sound(case: Case, length: int) -> Audio:
    """A voice of `length` samples, with the channels of the network."""
    card = case.card
    samples = voice(card.sample_rate_in, 1 + length / card.sample_rate_in)[:length]
    return audio(np.stack([samples] * card.channels), card.sample_rate_in)


def _mix() -> tuple[int, ...]:
    return tuple(np.random.default_rng(0).integers(1, 9, size=40).tolist())


def _chunk_sizes(sizes: tuple[int, ...]) -> str:
    return str(sizes[0]) if len(sizes) == 1 else "mixed numbers of"


def cuts(length: int, sizes: tuple[int, ...], unit: int) -> Iterator[tuple[int, int, bool]]:
    """Start and stop of the chunks of a sound, cycling through `sizes`; and if it is the last."""
    start = turn = 0
    while start < length:
        stop = min(start + sizes[turn % len(sizes)] * unit, length)
        yield start, stop, stop == length
        start, turn = stop, turn + 1


def streamed_codes(
    codec, waveform: torch.Tensor, sizes: tuple[int, ...]
) -> tuple[torch.Tensor, list[int]]:
    """Codes of a waveform (C, L) in chunks of so many frames; and the frames that each returned."""
    hop, chunks = codec.hop_length, []
    with codec.stream() as stream:
        for start, stop, last in cuts(waveform.shape[1], sizes, hop):
            chunks.append(stream.encode(waveform[:, start:stop], last=last))
    return torch.cat(chunks, dim=-1), [codes.shape[-1] for codes in chunks]


def streamed_sound(codec, tokens: Tokens, sizes: tuple[int, ...]) -> torch.Tensor:
    """Waveform (C, L) of tokens decoded in chunks of so many frames, without trimming."""
    chunks = []
    with codec.stream() as stream:
        for start, stop, last in cuts(tokens.num_frames, sizes, 1):
            chunks.append(stream.decode(tokens.codes[..., start:stop], last=last))
    return torch.cat(chunks, dim=-1)


def _held_back(case: Case) -> Iterator[str]:
    """No frame is delayed by more than the card's lookahead and the frames that share its code."""
    codec, card = case.codec, case.card
    if card.lookahead is None:
        return
    hop, sound = card.hop_length, _sound(case, LENGTHS[0][0] * case.hop)
    with codec.stream() as stream:
        frames = num_samples = 0
        for start, stop, last in cuts(sound.num_samples, (case.hop // hop,), hop):
            frames += stream.encode(sound.waveform[:, start:stop], last=last).shape[-1]
            num_samples = stop
            expected = num_samples // hop - -(-card.lookahead // hop)
            expected -= expected % codec._unit
            if frames < expected:
                yield (
                    f"after {num_samples} samples there are {frames} frames, but by the lookahead "
                    f"on the card {expected}"
                )


def _refusals(case: Case) -> Iterator[str]:
    codec, card = case.codec, case.card
    hop, channels = card.hop_length, card.channels
    frame = np.zeros((channels, hop), np.float32)
    bad = {
        "three channels": np.zeros((3, hop), np.float32),
        "NaN in a chunk": np.full((channels, hop), np.nan, np.float32),
        "text in the place of a chunk": "text",
    }
    if hop > 1:
        bad["a chunk that ends within a frame"] = np.zeros((channels, hop + 1), np.float32)
    for what, chunk in bad.items():
        with codec.stream() as stream:
            stream.encode(frame)
            yield from refuses(lambda s=stream, c=chunk: s.encode(c), what)
            stream.finish()
    with codec.stream() as stream:
        stream.encode(frame, last=True)
        yield from refuses(lambda: stream.encode(frame), "a chunk after the last one")
        codes = np.full((1, card.num_codebooks, 1), max(card.codebook_sizes))
        yield from refuses(lambda: stream.decode(codes), "a code out of range in a stream")
        yield from refuses(lambda: stream.decode(codes[0]), "codes of two dimensions in a stream")
