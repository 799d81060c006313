"""One Euclidean codebook (WavTokenizer).

van den Oord et al. 2017, arXiv 1711.00937.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.kernels import vq_argmin, vq_straight_through
from audiotok.nn.quantizers.base import GRADIENTS, Quantized, rows_of


class VectorQuantizer(nn.Module):
    """One Euclidean codebook (V, D) of V codewords.

    Attributes:
        gradient: how it passes to the latents, a key of `base.GRADIENTS`.
    """

    def __init__(self, codebook_size: int, dimension: int):
        super().__init__()
        self.register_buffer("codebook", torch.zeros(codebook_size, dimension))
        self.gradient = "straight_through"

    @property
    def codebooks(self) -> Tensor:
        """The one codebook, (1, V, D): the same memory."""
        return self.codebook[None]

    def encode(self, latents: Tensor) -> Tensor:
        """Latents (B, D, T) -> codes (B, 1, T) int64, -1 where the latents are not finite."""
        return vq_argmin(rows_of(latents), self.codebook).view(
            latents.shape[0], 1, latents.shape[2]
        )

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, 1, T) -> quantized (B, D, T)."""
        return F.embedding(codes[:, 0], self.codebook).transpose(1, 2)

    def forward(self, latents: Tensor) -> Quantized:
        """Quantize latents (B, D, T)."""
        batch, _, num_frames = latents.shape
        rows, codes, commitment = vq_straight_through(rows_of(latents), self.codebook)[:3]
        # contiguous, else the next convolutions are slower: 4 % of WavTokenizer's training step
        quantized = rows.unflatten(0, (batch, num_frames)).transpose(1, 2).contiguous()
        if self.gradient != "straight_through":  # which the search has built in
            quantized = GRADIENTS[self.gradient](latents.float(), quantized)
        return Quantized(quantized, codes.view(batch, 1, num_frames), commitment)

    def searched(self, latents: Tensor, codes: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The search's input, rows (N, D), and output, codes (N,), out of codes (B, 1, T)."""
        yield rows_of(latents.detach()), codes.flatten()
