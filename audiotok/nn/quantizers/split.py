"""A semantic and an acoustic quantizer whose vectors add up (Mimi, LM-SPT).

Défossez et al. 2024 (Mimi), arXiv 2410.00037, section 3.3.3: both quantize the same latents, in
parallel. Jo et al. 2025 (LM-SPT), arXiv 2506.16738: two encoders, and the acoustic quantizer gets
the residual of the semantic one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from audiotok.nn.quantizers.base import codebooks_of, summed
from audiotok.nn.quantizers.strided import merged


class SplitQuantizer(nn.Module):
    """Codes (B, K, T): first those of `semantic`, then those of `acoustic`.

    Args:
        semantic, acoustic: quantizers of latents (B, D, T), with losses of the same kind.
        num_semantic: codebooks of `semantic`.
        subtract: subtract the semantic vectors from the acoustic latents before quantizing them.
        separate: latents are those of two encoders, (B, 2 D, T), the semantic ones first.
        semantic_only: share of the clips of a training batch that use only the semantic vectors;
            their acoustic codes are -1.
    """

    def __init__(
        self,
        semantic: nn.Module,
        acoustic: nn.Module,
        num_semantic: int = 1,
        subtract: bool = False,
        separate: bool = False,
        semantic_only: float = 0.0,
    ):
        super().__init__()
        self.semantic, self.acoustic = semantic, acoustic
        self.num_semantic, self.subtract, self.separate = num_semantic, subtract, separate
        self.semantic_only = semantic_only

    @property
    def codebooks(self) -> list[Tensor]:
        """K codebooks (V, d), those of `semantic` first."""
        return codebooks_of(self.semantic) + codebooks_of(self.acoustic)

    def merge(self, strides: Sequence[int]) -> None:
        """Merge codes in time, in place: `strides` are the frames per code of the first codebooks,
        1 for the others."""
        count = len(self.acoustic.strides)
        strides = (*strides, *(1,) * (self.num_semantic + count - len(strides)))
        self.semantic = merged(self.semantic, strides[: self.num_semantic])
        self.acoustic = merged(self.acoustic, strides[self.num_semantic :])

    def halves(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """The inputs of the semantic and of the acoustic quantizer."""
        return tuple(latents.chunk(2, dim=1)) if self.separate else (latents, latents)

    def encode(self, latents: Tensor, num_codebooks: int | None = None) -> Tensor:
        """Latents -> codes (B, K, T) int64 of the first `num_codebooks`, all if None.

        Args:
            num_codebooks: at least `num_semantic`.
        """
        latents, rest = self.halves(latents)
        semantic = self.semantic.encode(latents)
        if num_codebooks == self.num_semantic:
            return semantic
        if self.subtract:
            rest = rest - self.semantic.decode(semantic)
        fewer = () if num_codebooks is None else (num_codebooks - self.num_semantic,)
        return torch.cat([semantic, self.acoustic.encode(rest, *fewer)], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, K', T) of the first K' codebooks -> quantized (B, D, T)."""
        vectors = self.semantic.decode(codes[:, : self.num_semantic])
        if codes.shape[1] > self.num_semantic:
            vectors = vectors + self.acoustic.decode(codes[:, self.num_semantic :])
        return vectors

    def forward(self, latents: Tensor) -> NamedTuple:
        """Quantize latents; the vectors are (B, D, T)."""
        return self.parts(latents)[0]

    def parts(self, latents: Tensor) -> tuple[NamedTuple, NamedTuple]:
        """The result of `forward`, and that of the semantic quantizer."""
        latents, rest = self.halves(latents)
        semantic = self.semantic(latents)
        acoustic = self.acoustic(rest - semantic.quantized if self.subtract else rest)
        vectors, codes = semantic.quantized + acoustic.quantized, acoustic.codes
        if (alone := self.draw_alone(latents)) is not None:
            vectors = torch.where(alone, semantic.quantized, vectors)
            codes = codes.masked_fill(alone, -1)
        codes = torch.cat([semantic.codes, codes], dim=1)
        return summed(vectors, codes, [semantic, acoustic]), semantic

    def draw_alone(self, latents: Tensor) -> Tensor | None:
        """The clips of a training batch without acoustic codes, (B, 1, 1) bool; None if none."""
        if not (self.training and self.semantic_only):
            return None
        return (torch.rand(len(latents), device=latents.device) < self.semantic_only)[:, None, None]
