"""Promises on invalid input: it is refused with a message of one line, never silently repaired."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from audiotok.errors import AudiotokError, CodecError
from audiotok.testing.case import Case
from audiotok.testing.promise import NotChecked, described, promise
from audiotok.tokens.tokens import Tokens


@promise("bad sounds", "what is not a sound is refused with an AudiotokError of one line")
def bad_sounds(case: Case) -> Iterator[str]:
    rate = case.card.sample_rate_in
    for what, source in {
        "NaN": (np.array([0.0, math.nan, 0.0]), rate),
        "infinity": (np.array([0.0, math.inf, 0.0]), rate),
        "no samples": (np.zeros(0), rate),
        "three channels": (np.zeros((3, 100)), rate),
        "three dimensions": (np.zeros((1, 1, 100)), rate),
        "integers that nobody scaled": (np.full(100, 20_000.0), rate),
        "text": (np.array(["a", "b"]), rate),
        "a rate of 0": (np.zeros(100), 0),
        "a rate of 10 Hz": (np.zeros(100), 10),
        "a rate of 10 MHz": (np.zeros(100), 10_000_000),
        "a negative rate": (np.zeros(100), -rate),
        "a rate in words": (np.zeros(100), str(rate)),
        "a missing file": "no/such/file.wav",
        "a folder": ".",
        "nothing": None,
    }.items():
        yield from refuses(lambda source=source: case.codec.encode(source), what)


@promise("bad tokens", "tokens of another codec, or that do not fit, are refused with one line")
def bad_tokens(case: Case) -> Iterator[str]:
    codec, card = case.codec, case.card
    tokens = codec.encode((np.zeros(2 * case.hop), card.sample_rate_in))
    foreign = replace(tokens, codec="another", fingerprint="0" * 64)
    invalid: dict[str, Callable[[], object]] = {
        "tokens of another fingerprint": lambda: foreign,
        "bytes in the place of tokens": tokens.to_bytes,
        "a tensor in the place of tokens": lambda: tokens.codes,
        "one codebook too many": lambda: replace(
            tokens,
            codes=torch.cat([tokens.codes, tokens.codes[:, -1:]], 1),
            codebook_sizes=(*card.codebook_sizes, card.codebook_sizes[-1]),
            strides=(*card.strides, card.strides[-1]),
        ),
        "codebooks of another size": lambda: replace(
            tokens, codebook_sizes=tuple(size + 1 for size in card.codebook_sizes)
        ),
        "a code out of range": lambda: replace(
            tokens, codes=torch.full_like(tokens.codes, max(card.codebook_sizes))
        ),
        "a code of -1": lambda: replace(tokens, codes=torch.full_like(tokens.codes, -1)),
        "bytes that are cut short": lambda: type(tokens).from_bytes(tokens.to_bytes()[:-1]),
    }
    if not card.byte_stream:
        longer = lambda by: replace(tokens, num_samples=tokens.num_samples + by)  # noqa: E731
        invalid["more samples than frames"] = lambda: longer(10 * case.hop)
        invalid["fewer samples than frames"] = lambda: longer(-2 * case.hop + 1)
    for what, make in invalid.items():
        yield from refuses(lambda make=make: codec.decode(make()), what)
    for k in set(range(1, card.num_codebooks)) - set(card.codebook_counts):
        yield from refuses(lambda k=k: codec.decode(tokens.first(k)), f"the first {k} codebooks")
    for rate in (0, 10, "fast"):
        yield from refuses(lambda rate=rate: codec.decode(tokens, rate), f"an output at {rate!r}")


@promise("no decoder", "tokens without a decoder: decoding is refused, and says what it needs")
def no_decoder(case: Case) -> Iterator[str]:
    codec, card = case.codec, case.card
    if case.decodes:
        raise NotChecked("does not apply: it has a decoder")
    sound = case.sounds["a voice"]
    tokens = Tokens.from_bytes(case.tokens("a voice").to_bytes())
    if tokens.needs != card.needs:
        yield f"its tokens say that they need {tokens.needs!r}, its card {card.needs!r}"
    for what, decode in {
        "decode": lambda: codec.decode(tokens),
        "decode_batch": lambda: codec.decode_batch([tokens, tokens], batch="length"),
        "decode_codes": lambda: codec.decode_codes(tokens.codes[:1].to(codec.device)),
        "reconstruct": lambda: codec.reconstruct(sound),
    }.items():
        try:
            decode()
        except CodecError as reason:
            if card.needs not in str(reason) or "\n" in str(reason):
                yield f"{what} does not say in one line what it needs: {described(reason)}"
        except Exception as reason:
            yield f"{what} raises {described(reason)}, which is no CodecError"
        else:
            yield f"{what} works, but the card says that there is no decoder"
    if not torch.equal(codec.tokens(tokens.codes).codes, tokens.codes):
        yield "codes of a language model cannot be made tokens"


def refuses(call: Callable[[], object], what: str) -> Iterator[str]:
    """A counter-example unless `call` raises an AudiotokError of one line."""
    try:
        call()
    except AudiotokError as reason:
        if "\n" in str(reason):
            yield f"the message on {what} has several lines"
    except Exception as reason:
        yield f"{what} raises {described(reason)}, which is no AudiotokError"
    else:
        yield f"{what}: not refused"
