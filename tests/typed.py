"""The types of the public names, checked by mypy in `make lint`; it is not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_type

import numpy as np

import audiotok
from audiotok import Audio, Codec, CodecCard, Tokens


def typed(array: np.ndarray) -> None:
    codec = audiotok.load("wavtokenizer", device="cpu")
    assert_type(codec, Codec)
    assert_type(codec.card, CodecCard)
    assert_type(codec.sample_rate, int)
    assert_type(codec.codebook_sizes, tuple[int, ...])
    assert_type(codec.frame_rate, float | None)
    assert_type(audiotok.list_codecs(), list[CodecCard])

    tokens = codec.encode("talk.wav")
    assert_type(tokens, Tokens)
    assert_type(codec.encode_batch(["a.wav", (array, 16_000)]), list[Tokens])
    assert_type(codec.tokens(array), Tokens)
    assert_type(tokens.bitrate, float)
    assert_type(Tokens.load("talk.atok"), Tokens)
    assert_type(tokens.to_bytes(), bytes)
    assert_type(tokens.first(2), Tokens)

    audio = codec.decode(tokens)
    assert_type(audio, Audio)
    assert_type(codec.reconstruct(audio), Audio)
    assert_type(audio.duration, float)
    assert_type(audio.numpy(), np.ndarray)
    audio.save("decoded.wav")
    audio.play()

    columns: dict[str, float] = audiotok.metrics.compute(
        ["pesq"], reference=audio, reconstruction=audio
    )
    names: Sequence[str] = audiotok.tasks.names()
    assert columns and names
    audiotok.bench("wavtokenizer", limit=2)
    audiotok.compare("opus-6k", "wavtokenizer-mini")
