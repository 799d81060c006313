"""cost: parameters and multiply-accumulates of a codec. No times, so the numbers reproduce.

Parameters are those of `network.parameters()`, as papers count them: codebooks that a network keeps
as buffers (those learned by moving averages) are not among them. Multiply-accumulates are counted
while one second of noise is encoded and decoded: convolutions, matrix products, attention and
recurrent layers, see `_macs.py`; the search of an explicit codebook counts as the product of all
latents with all codewords. A second that is not a whole number of frames is padded to one.

Each clip has the same numbers. Codecs without a network (Opus, mu-law) have none, nor do codecs
whose network PyTorch does not run (Lyra).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from audiotok.sound.audio import Audio
from audiotok.tasks import Column, Item, Task
from audiotok.tasks._load import forked
from audiotok.tasks._macs import Counter

if TYPE_CHECKING:
    from audiotok.codec.codec import Codec
    from audiotok.tokens.tokens import Tokens

KERNELS = "AUDIOTOK_KERNELS"


class Cost(Task):
    """Parameters and multiply-accumulates of encode and decode. Nothing is ranked: they are costs,
    and a codec that computes nothing has the lowest."""

    name = "cost"
    version = 1
    ranked = ()
    observes = True
    columns = (
        Column("parameters", "M", False, 1, "parameters of the network, in millions"),
        Column("parameters_encode", "M", False, 1, "parameters that encode reads"),
        Column("parameters_decode", "M", False, 1, "parameters that decode reads"),
        Column(
            "macs",
            "G/s",
            False,
            2,
            "10^9 multiply-accumulates per second of audio, in all",
        ),
        Column("macs_encode", "G/s", False, 2, "multiply-accumulates of encode"),
        Column("macs_decode", "G/s", False, 2, "multiply-accumulates of decode"),
    )

    def __init__(self):
        self._last: tuple[str, dict[str, float]] = ("", {})  # the codec counted last

    def observe(self, codec: Codec, reference: Audio, tokens: Tokens) -> dict[str, float]:
        key = f"{codec.card.name} {codec.fingerprint}"
        if self._last[0] != key:
            with forked(codec):
                self._last = key, measure(codec)
        return self._last[1]

    def score(self, item: Item) -> dict[str, float]:
        """Empty in the ceiling row, where nothing is computed."""
        return item.observed or {}


def measure(codec: Codec) -> dict[str, float]:
    """The columns of `Cost` for one codec."""
    if codec.network is None or codec.RUNTIME is not None:
        return {}
    rate, channels = codec.card.sample_rate_in, codec.card.channels
    noise = torch.randn(channels, rate, generator=torch.Generator().manual_seed(0))
    second = Audio(0.1 * noise, rate)
    codec.encode(second)  # the setup of a first call is not counted
    with _searches_counted():
        with Counter(codec.network) as encoding:
            tokens = codec.encode(second)
        with Counter(codec.network) as decoding:
            codec.decode(tokens)
    return {
        "parameters": sum(p.numel() for p in codec.network.parameters()) / 1e6,
        "parameters_encode": encoding.parameters / 1e6,
        "parameters_decode": decoding.parameters / 1e6,
        "macs": (encoding.macs + decoding.macs) / 1e9,
        "macs_encode": encoding.macs / 1e9,
        "macs_decode": decoding.macs / 1e9,
    }


@contextmanager
def _searches_counted() -> Iterator[None]:
    """Codebooks are searched with PyTorch operations, which the counter sees; the codes are
    equal."""
    before = os.environ.get(KERNELS)
    os.environ[KERNELS] = "torch"
    try:
        yield
    finally:
        if before is None:
            del os.environ[KERNELS]
        else:
            os.environ[KERNELS] = before
