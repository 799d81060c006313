"""A semantic and an acoustic quantizer whose vectors add up (Mimi, LM-SPT).

Défossez et al. 2024 (Mimi), arXiv 2410.00037, section 3.3.3: both see the same latents, side by
side. Jo et al. 2025 (LM-SPT), arXiv 2506.16738: two encoders, and the acoustic quantizer gets what
the semantic one left over.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from audiotok.nn.quantizers.base import codebooks_of, summed


class SplitQuantizer(nn.Module):
    """Codes (B, K, T): first those of `semantic`, then those of `acoustic`.

    Args:
        semantic, acoustic: quantizers of latents (B, D, T), with losses of the same kind.
        num_semantic: codebooks of `semantic`.
        subtract: the acoustic latents lose the semantic vectors before they are quantized.
    """

    def __init__(
        self,
        semantic: nn.Module,
        acoustic: nn.Module,
        num_semantic: int = 1,
        subtract: bool = False,
    ):
        super().__init__()
        self.semantic, self.acoustic = semantic, acoustic
        self.num_semantic, self.subtract = num_semantic, subtract

    @property
    def codebooks(self) -> list[Tensor]:
        """K codebooks (V, d), those of `semantic` first."""
        return codebooks_of(self.semantic) + codebooks_of(self.acoustic)

    def encode(self, latents: Tensor, acoustic_latents: Tensor | None = None) -> Tensor:
        """Latents (B, D, T) -> codes (B, K, T) int64; `acoustic_latents` are the same if None."""
        rest = latents if acoustic_latents is None else acoustic_latents
        semantic = self.semantic.encode(latents)
        if self.subtract:
            rest = rest - self.semantic.decode(semantic)
        acoustic = self.acoustic.encode(rest)
        return torch.cat([semantic, acoustic], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, K', T) of the first K' codebooks -> quantized (B, D, T)."""
        vectors = self.semantic.decode(codes[:, : self.num_semantic])
        if codes.shape[1] > self.num_semantic:
            vectors = vectors + self.acoustic.decode(codes[:, self.num_semantic :])
        return vectors

    def forward(self, latents: Tensor, acoustic_latents: Tensor | None = None) -> NamedTuple:
        """Quantize latents (B, D, T); `acoustic_latents` are the same if None."""
        rest = latents if acoustic_latents is None else acoustic_latents
        semantic = self.semantic(latents)
        acoustic = self.acoustic(rest - semantic.quantized if self.subtract else rest)
        codes = torch.cat([semantic.codes, acoustic.codes], dim=1)
        return summed(semantic.quantized + acoustic.quantized, codes, [semantic, acoustic])
