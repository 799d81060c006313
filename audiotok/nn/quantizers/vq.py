"""One Euclidean codebook (WavTokenizer).

van den Oord et al. 2017, arXiv 1711.00937.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.kernels import vq_argmin
from audiotok.nn.quantizers.base import Quantized, rows_of


class VectorQuantizer(nn.Module):
    """One Euclidean codebook (V, D) of V codewords."""

    def __init__(self, codebook_size: int, dimension: int):
        super().__init__()
        self.register_buffer("codebook", torch.zeros(codebook_size, dimension))

    def encode(self, latents: Tensor) -> Tensor:
        """Latents (B, D, T) -> codes (B, 1, T) int64, -1 where the latents are not finite."""
        return vq_argmin(rows_of(latents), self.codebook).view(
            latents.shape[0], 1, latents.shape[2]
        )

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, 1, T) -> quantized (B, D, T)."""
        return F.embedding(codes[:, 0], self.codebook).transpose(1, 2)

    def forward(self, latents: Tensor) -> Quantized:
        """Quantize latents (B, D, T), with the straight-through gradient."""
        codes = self.encode(latents)
        quantized = self.decode(codes)
        commitment = F.mse_loss(latents.float(), quantized)
        return Quantized(latents + (quantized - latents).detach(), codes, commitment)
