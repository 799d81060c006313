"""Residual Euclidean codebooks (EnCodec, SpeechTokenizer, the halves of Mimi).

Défossez et al. 2022 (EnCodec), arXiv 2210.13438, section 3.2; Zhang et al. 2023
(SpeechTokenizer), arXiv 2308.16692; Défossez et al. 2024 (Mimi), arXiv 2410.00037, section 3.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from audiotok.kernels import rvq_decode, rvq_encode, vq_straight_through
from audiotok.nn.quantizers.base import GRADIENTS, Quantized, by_rows, codewords, rows_of
from audiotok.nn.quantizers.residual import draw_kept, quantize_in_stages
from audiotok.nn.quantizers.strided import checked_strides, pool, shared_segments


class ResidualVectorQuantizer(nn.Module):
    """K Euclidean codebooks (K, V, D); each quantizes the residual of the previous ones.

    The gradient of all stages together passes to the latents, see `gradient`, and the commitment
    loss of each stage has one for them; in the `encodec` package only that of the first stage has.

    Args:
        num_codebooks: K.
        codebook_size: V.
        dimension: of the latents.
        codebook_dim: of the codewords, with 1x1 convolutions without bias to it and back (Mimi);
            None: that of the latents, without projections.
        strides: frames per code of each codebook, all 1 if None; see `strided`.
        dropout: share of the clips of a training batch that keep a random number of codebooks.

    Attributes:
        gradient: how it passes to the latents, a key of `base.GRADIENTS`.
    """

    def __init__(
        self,
        num_codebooks: int,
        codebook_size: int,
        dimension: int,
        codebook_dim: int | None = None,
        strides: Sequence[int] | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.in_proj, self.out_proj = nn.Identity(), nn.Identity()
        if codebook_dim is not None:
            self.in_proj = nn.Conv1d(dimension, codebook_dim, 1, bias=False)
            self.out_proj = nn.Conv1d(codebook_dim, dimension, 1, bias=False)
        self.strides = checked_strides(strides, num_codebooks)
        self.dropout, self.gradient = dropout, "straight_through"
        codebooks = torch.zeros(num_codebooks, codebook_size, codebook_dim or dimension)
        self.register_buffer("codebooks", codebooks)

    def encode(self, latents: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Latents (B, D, T) -> codes (B, K, T) int64 of the first `num_codebooks`, all if None.

        -1 where the latents are not finite.
        """
        projected = self.in_proj(latents)
        strides = self.strides[:num_codebooks]
        if any(shared_segments(stride) for stride in strides):
            return self(latents, num_codebooks).codes
        if set(strides) == {1}:
            codes = rvq_encode(rows_of(projected), self.codebooks, num_codebooks)
            return codes.unflatten(0, (latents.shape[0], latents.shape[2])).transpose(1, 2)
        clips = [rows_of(clip[None]) for clip in projected]
        codes = [rvq_encode(clip, self.codebooks, num_codebooks, strides) for clip in clips]
        return torch.stack(codes).transpose(1, 2)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, K', T) of the first K' codebooks -> quantized (B, D, T)."""
        codebooks = self.codebooks[: codes.shape[1]]
        return self.out_proj(by_rows(lambda rows: rvq_decode(rows, codebooks), codes))

    def forward(self, latents: Tensor, num_codebooks: int | None = None) -> Quantized:
        """Quantize latents (B, D, T) with the first `num_codebooks`, all if None.

        EnCodec draws one `num_codebooks` for each training batch; `dropout` draws one per clip.
        """
        projected = self.in_proj(latents).float()
        codebooks = self.codebooks[:num_codebooks]
        kept = None
        if self.training and self.dropout:
            kept = draw_kept(len(latents), len(codebooks), self.dropout).to(latents.device)
        stages = [
            lambda residual, codebook=codebook: _stage(residual, codebook) for codebook in codebooks
        ]
        quantized, codes, commitment = quantize_in_stages(stages, self.strides, projected, kept)
        quantized = self.out_proj(GRADIENTS[self.gradient](projected, quantized))
        return Quantized(quantized, codes, commitment)

    @torch.no_grad()
    def searched(self, latents: Tensor, codes: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """For each codebook its search's input, rows (N, d), and output, codes (N,), out of
        latents (B, D, T) and codes (B, K', T)."""
        residual = self.in_proj(latents)
        pairs = zip(codes.unbind(1), self.codebooks, self.strides, strict=False)
        for stage_codes, codebook, stride in pairs:
            vectors = codewords(stage_codes, codebook)  # before the caller updates the codebook
            yield rows_of(pool(residual, stride)), stage_codes[:, ::stride].flatten()
            residual = residual - vectors


def _stage(latents: Tensor, codebook: Tensor) -> Quantized:
    quantized, codes, commitment = vq_straight_through(rows_of(latents), codebook)[:3]
    batch, _, num_frames = latents.shape
    vectors = quantized.detach().unflatten(0, (batch, num_frames)).transpose(1, 2)
    return Quantized(vectors, codes.view(batch, 1, num_frames), commitment)
