"""The output of a trainable codec network in one training step."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """One training step's forward."""

    waveform: Tensor  # (B, C, >= L)
    latents: Tensor  # (B, D, T), before the quantizer
    codes: Tensor | None  # (B, K, T) int64; None if the quantizer was skipped
    losses: dict[str, Tensor]  # of the quantizer, scalars: "commitment", "codebook", "entropy"
    semantic: Tensor | None = None  # (B, D, T), of semantic codebooks alone, with gradients
    resynthesis: Tensor | None = None  # (B, 1, L'), decoded from those by an auxiliary decoder
