"""Finite scalar quantization: each dimension is bounded and rounded to a few values.

Mentzer et al. 2023, arXiv 2309.15505 (X-Codec2, NeuCodec, S3Tokenizer v2, NanoCodec).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from audiotok.kernels import fsq_decode, fsq_encode
from audiotok.nn.quantizers.base import Quantized, by_rows, rows_of, straight_through


class FiniteScalarQuantizer(nn.Module):
    """One code for d dimensions; the first varies fastest, codes run to the product of `levels`.

    Args:
        levels: number of values of each of the d dimensions.
        dimension: D of the latents, with linear projections to d and back; None: D = d, without.
        bound_twice: apply the bound twice, as the checkpoints of X-Codec2 need.
    """

    def __init__(
        self, levels: Sequence[int], dimension: int | None = None, bound_twice: bool = False
    ):
        super().__init__()
        self.levels, self.bound_twice = tuple(levels), bound_twice
        self.in_proj, self.out_proj = nn.Identity(), nn.Identity()
        if dimension is not None:
            self.in_proj = nn.Conv1d(dimension, len(self.levels), 1)
            self.out_proj = nn.Conv1d(len(self.levels), dimension, 1)
        sizes = torch.tensor(self.levels, dtype=torch.float32)[:, None]
        self.register_buffer("_sizes", sizes, persistent=False)

    @property
    def codebook(self) -> Tensor:
        """All codewords (V, d), in [-1, 1]."""
        codes = torch.arange(int(self._sizes.prod()), device=self._sizes.device)
        return fsq_decode(codes, self.levels)

    def encode(self, latents: Tensor) -> Tensor:
        """Latents (B, D, T) -> codes (B, 1, T) int64, -1 where the latents are not finite."""
        return self._search(self._projected(latents))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, 1, T) -> quantized (B, D, T)."""
        return self.out_proj(self._vectors(codes))

    def forward(self, latents: Tensor) -> Quantized:
        """Quantize latents (B, D, T); the gradient passes through the rounding, not the bound.

        There is no loss: `commitment` is 0.
        """
        projected = self._projected(latents)
        codes = self._search(projected)
        scaled = self._bound(projected) / (self._sizes // 2)
        quantized = self.out_proj(straight_through(scaled, self._vectors(codes)))
        return Quantized(quantized, codes, latents.new_zeros(()))

    def _projected(self, latents: Tensor) -> Tensor:
        projected = self.in_proj(latents).float()
        return self._bound(projected) if self.bound_twice else projected

    def _bound(self, latents: Tensor) -> Tensor:
        half = (self._sizes - 1) * 1.001 / 2
        offset = (self._sizes % 2 == 0) * 0.5
        return (latents + (offset / half).atanh()).tanh() * half - offset

    def _search(self, projected: Tensor) -> Tensor:
        codes = fsq_encode(rows_of(projected), self.levels)
        return codes.view(projected.shape[0], 1, projected.shape[2])

    def _vectors(self, codes: Tensor) -> Tensor:
        return by_rows(lambda rows: fsq_decode(rows[:, 0], self.levels), codes)
