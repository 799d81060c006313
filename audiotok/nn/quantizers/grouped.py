"""Product quantization: groups of channels with a quantizer each.

Jégou et al. 2011, doi 10.1109/TPAMI.2010.57; with residual groups in Yang et al. 2023
(HiFi-Codec), arXiv 2305.02765; with finite scalar groups in Casanova et al. 2025 (NanoCodec),
arXiv 2508.05835.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.kernels import vq_argmin
from audiotok.nn.quantizers.base import Quantized, codebooks_of, codewords, straight_through, summed


class GroupedVectorQuantizer(nn.Module):
    """G Euclidean codebooks (G, V, D / G), searched at once; codes (B, G, T)."""

    def __init__(self, num_groups: int, codebook_size: int, dimension: int):
        super().__init__()
        _check(dimension, num_groups)
        shape = num_groups, codebook_size, dimension // num_groups
        self.register_buffer("codebooks", torch.zeros(shape))

    def encode(self, latents: Tensor) -> Tensor:
        """Latents (B, D, T) -> codes (B, G, T) int64, -1 where a group is not finite."""
        codes = vq_argmin(self._rows(latents), self.codebooks)
        return codes.unflatten(1, (latents.shape[0], latents.shape[2])).transpose(0, 1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, G, T) -> quantized (B, D, T)."""
        pairs = zip(codes.unbind(1), self.codebooks, strict=True)
        return torch.cat([codewords(group, codebook) for group, codebook in pairs], dim=1)

    def forward(self, latents: Tensor) -> Quantized:
        """Quantize latents (B, D, T), with the straight-through gradient."""
        codes = self.encode(latents)
        vectors = self.decode(codes)
        # each group's mean over its D / G dimensions, summed over the groups
        commitment = F.mse_loss(latents.float(), vectors) * len(self.codebooks)
        return Quantized(straight_through(latents, vectors), codes, commitment)

    def searched(self, latents: Tensor, codes: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """For each codebook its search's input, rows (N, D / G), and output, codes (N,)."""
        return zip(self._rows(latents), codes.transpose(0, 1).flatten(1), strict=True)

    def _rows(self, latents: Tensor) -> Tensor:
        groups = latents.detach().float().unflatten(1, self.codebooks.shape[::2])
        return groups.permute(1, 0, 3, 2).flatten(1, 2)  # (G, B * T, D / G)


class GroupedQuantizer(nn.Module):
    """One quantizer, all of the same kind, for each group of D / G channels.

    Codes (B, K, T) hold all codebooks of the first group, then those of the second, and so on.
    """

    def __init__(self, quantizers: Sequence[nn.Module], codebooks_per_group: int = 1):
        super().__init__()
        self.quantizers = nn.ModuleList(quantizers)
        self.codebooks_per_group = codebooks_per_group

    @property
    def codebooks(self) -> list[Tensor]:
        """K codebooks (V, d), group after group."""
        return [codebook for quantizer in self.quantizers for codebook in codebooks_of(quantizer)]

    def encode(self, latents: Tensor) -> Tensor:
        """Latents (B, D, T) -> codes (B, K, T) int64."""
        return torch.cat([q.encode(group) for q, group in self._groups(latents)], dim=1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, K, T) -> quantized (B, D, T)."""
        groups = zip(self.quantizers, codes.split(self.codebooks_per_group, dim=1), strict=True)
        return torch.cat([quantizer.decode(group) for quantizer, group in groups], dim=1)

    def forward(self, latents: Tensor) -> NamedTuple:
        """Quantize latents (B, D, T); losses are summed over the groups."""
        parts = [quantizer(group) for quantizer, group in self._groups(latents)]
        quantized = torch.cat([part.quantized for part in parts], dim=1)
        return summed(quantized, torch.cat([part.codes for part in parts], dim=1), parts)

    def _groups(self, latents: Tensor) -> Iterator[tuple[nn.Module, Tensor]]:
        _check(latents.shape[1], len(self.quantizers))
        return zip(self.quantizers, latents.chunk(len(self.quantizers), dim=1), strict=True)


def _check(dimension: int, num_groups: int) -> None:
    if num_groups < 1 or dimension % num_groups:
        raise ValueError(
            f"{dimension} dimensions cannot be split into {num_groups} equal groups: expected a "
            "divisor"
        )
