"""Factorized codebooks with cosine search, alone and residual (DAC, SNAC, LM-SPT).

Yu et al. 2022 (ViT-VQGAN), arXiv 2110.04627, section 3.2: a 1x1 convolution projects to few
dimensions, the search is by cosine similarity, and another convolution projects back. In Kumar et
al. 2023 (DAC), arXiv 2306.06546, section 3.2, and later codecs, the quantized vector is the
codeword itself, not normalised.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.kernels import vq_argmin
from audiotok.nn.quantizers.base import GRADIENTS, FactorizedQuantized, codewords, rows_of
from audiotok.nn.quantizers.residual import draw_kept, quantize_in_stages
from audiotok.nn.quantizers.strided import checked_strides, pool, repeat


class FactorizedQuantizer(nn.Module):
    """One codebook (V, d), trained by gradients, between projections from D to d and back.

    Attributes:
        gradient: how it passes between the projections, a key of `base.GRADIENTS`.
    """

    def __init__(self, codebook_size: int, dimension: int, codebook_dim: int = 8):
        super().__init__()
        self.in_proj = nn.Conv1d(dimension, codebook_dim, 1)
        self.out_proj = nn.Conv1d(codebook_dim, dimension, 1)
        self.codebook = nn.Parameter(torch.randn(codebook_size, codebook_dim))
        self.gradient = "straight_through"

    def encode(self, latents: Tensor) -> Tensor:
        """Latents (B, D, T) -> codes (B, 1, T) int64, -1 where the latents are not finite."""
        return self._search(self.in_proj(latents))

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, 1, T) -> quantized (B, D, T)."""
        return self.out_proj(codewords(codes[:, 0], self.codebook))

    def forward(self, latents: Tensor) -> FactorizedQuantized:
        """Quantize latents (B, D, T); the gradient passes between the projections."""
        projected = self.in_proj(latents)
        codes = self._search(projected)
        vectors = codewords(codes[:, 0], self.codebook)
        return FactorizedQuantized(
            self.out_proj(GRADIENTS[self.gradient](projected, vectors)),
            codes,
            F.mse_loss(projected, vectors.detach()),
            F.mse_loss(vectors, projected.detach()),
        )

    def _search(self, projected: Tensor) -> Tensor:
        codes = vq_argmin(rows_of(projected), self.codebook, metric="cosine")
        return codes.view(projected.shape[0], 1, projected.shape[2])


class FactorizedResidualQuantizer(nn.Module):
    """K factorized codebooks; each quantizes the residual of the previous ones in latent space.

    Args:
        num_codebooks: K.
        codebook_size: V.
        dimension: D, of the latents.
        codebook_dim: d, of the codewords.
        strides: frames per code of each codebook, all 1 if None: (4, 2, 1) in SNAC at 24 kHz.
        dropout: share of the clips of a training batch that keep a random number of codebooks.
    """

    def __init__(
        self,
        num_codebooks: int,
        codebook_size: int,
        dimension: int,
        codebook_dim: int = 8,
        strides: Sequence[int] | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.stages = nn.ModuleList(
            FactorizedQuantizer(codebook_size, dimension, codebook_dim)
            for _ in range(num_codebooks)
        )
        self.strides = checked_strides(strides, num_codebooks)
        self.dropout = dropout

    @property
    def codebooks(self) -> list[Tensor]:
        """K codebooks (V, d), before their projections."""
        return [stage.codebook for stage in self.stages]

    @torch.no_grad()
    def encode(self, latents: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Latents (B, D, T) -> codes (B, K, T) int64 of the first `num_codebooks`, all if None.

        -1 where the latents are not finite.
        """
        residual, codes, num_frames = latents, [], latents.shape[-1]
        stages = self.stages[:num_codebooks]
        for index, stage in enumerate(stages):
            stage_codes = stage.encode(pool(residual, self.strides[index]))
            codes.append(repeat(stage_codes, self.strides[index], num_frames))
            if index + 1 < len(stages):
                residual = residual - repeat(
                    stage.decode(stage_codes), self.strides[index], num_frames
                )
        return torch.cat(codes, dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, K', T) of the first K' codebooks -> quantized (B, D, T)."""
        pairs = zip(self.stages[: codes.shape[1]], codes.split(1, dim=1), strict=True)
        return sum(stage.decode(stage_codes) for stage, stage_codes in pairs)

    def forward(self, latents: Tensor, num_codebooks: int | None = None) -> FactorizedQuantized:
        """Quantize latents (B, D, T) with the first `num_codebooks`, all if None."""
        stages = self.stages[:num_codebooks]
        kept = None
        if self.training and self.dropout:
            kept = draw_kept(len(latents), len(stages), self.dropout).to(latents.device)
        return quantize_in_stages(stages, self.strides, latents, kept)
