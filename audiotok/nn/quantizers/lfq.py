"""Quantization by signs: lookup-free (LFQ) and binary spherical (BSQ, FocalCodec).

Yu et al. 2023 (MAGVIT-v2), arXiv 2310.05737, section 3.1; Zhao et al. 2024 (BSQ), arXiv
2406.07548, section 4; Della Libera et al. 2025 (FocalCodec), arXiv 2502.04465.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.kernels import lfq_decode, lfq_encode
from audiotok.nn.quantizers.base import LookupFreeQuantized, by_rows, rows_of, straight_through


class LookupFreeQuantizer(nn.Module):
    """One code of `dimension` bits, the first dimension the highest: bit 1 where it is positive.

    The entropy loss is that of the soft assignment softmax(2 * inverse_temperature * x.c) over all
    codewords c. It is a sum of one term per bit: exactly for a frame, and as BSQ's upper bound for
    the mean over the batch, so the 2^dimension codewords are never enumerated.

    Args:
        dimension: bits per code.
        spherical: BSQ: latents are projected to the unit sphere, codewords are +-1/sqrt(dimension)
            instead of +-1.
        inverse_temperature: of the soft assignment.
        diversity: weight of the batch's entropy in the entropy loss.
    """

    def __init__(
        self,
        dimension: int,
        spherical: bool = False,
        inverse_temperature: float = 100.0,
        diversity: float = 1.0,
    ):
        super().__init__()
        self.dimension, self.spherical = dimension, spherical
        self.scale = dimension**-0.5 if spherical else 1.0
        self.inverse_temperature, self.diversity = inverse_temperature, diversity

    @property
    def codebook(self) -> Tensor:
        """All codewords (2^dimension, dimension)."""
        return lfq_decode(torch.arange(2**self.dimension, device="cpu"), self.dimension, self.scale)

    def encode(self, latents: Tensor) -> Tensor:
        """Latents (B, D, T) -> codes (B, 1, T) int64, -1 where the latents are not finite."""
        return lfq_encode(rows_of(latents)).view(latents.shape[0], 1, latents.shape[2])

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, 1, T) -> quantized (B, D, T)."""
        return by_rows(lambda rows: lfq_decode(rows[:, 0], self.dimension, self.scale), codes)

    def forward(self, latents: Tensor) -> LookupFreeQuantized:
        """Quantize latents (B, D, T); straight-through gradient, after the projection to the sphere
        if `spherical`."""
        codes = self.encode(latents)
        vectors = self.decode(codes)
        if self.spherical:
            latents = F.normalize(latents, dim=1)
        return LookupFreeQuantized(
            straight_through(latents, vectors),
            codes,
            F.mse_loss(latents, vectors),
            self._entropy_loss(latents),
        )

    def _entropy_loss(self, latents: Tensor) -> Tensor:
        logits = 4 * self.inverse_temperature * self.scale * latents  # of a bit: 1 against 0
        frames = _bit_entropy(logits.sigmoid()).sum(dim=1).mean()
        batch = _bit_entropy(logits.sigmoid().mean(dim=(0, 2))).sum()
        return frames - self.diversity * batch


def _bit_entropy(probability: Tensor) -> Tensor:
    """Entropy in nats of bits that are 1 with this probability."""
    return -(_plogp(probability) + _plogp(1 - probability))


def _plogp(probability: Tensor) -> Tensor:
    return probability * probability.clamp(min=1e-12).log()
