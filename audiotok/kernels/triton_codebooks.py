"""Codebooks prepared for the prefilters of the Triton searches: low-precision copies and norms."""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
from torch import Tensor

SIMT_WIDTH = 16  # up to here no tensor cores
STACK_WIDTH = 256  # up to here the latents of a tile stay on chip
CODEWORD_TILE = 128


class Packed(NamedTuple):
    """Codebooks (G, V, D) prepared for a prefilter; V and D padded, see `pack`."""

    codebooks: Tensor  # (G, V, D) fp32
    centres: Tensor  # (G, D) fp32, subtracted from latents and codewords before scoring
    words: Tensor  # (G, VP, DP) bf16 or fp32
    half_norms: Tensor  # (G, VP) fp32; infinite for codewords that must not be chosen
    norms: Tensor  # (G, 2) fp32: the largest ||c|| and ||c - low-precision c||
    cosine: bool


def pack(
    codebooks: Tensor, cosine: bool = False, deduplicate: bool = True, stack: bool = False
) -> Packed:
    """Low-precision copies of codebooks (G, V, D) fp32, norms and error norms.

    bf16, but fp32 for D <= 16 unless it is for a `stack`, which always uses tensor cores.

    Later duplicates of a codeword, codewords that are not finite, and padding get an infinite
    half norm, so that no prefilter proposes them.
    """
    codebooks = codebooks.detach().contiguous()
    _, size, width = codebooks.shape
    usable = torch.isfinite(codebooks).all(dim=2)
    if cosine:
        centres = torch.zeros_like(codebooks[:, 0])
        exact = codebooks.double()
        norms = exact.square().sum(dim=2, keepdim=True).sqrt()
        words = torch.where(norms > 0, exact / norms, exact).float()
    else:
        kept = torch.where(usable[..., None], codebooks, 0.0)
        centres = torch.nan_to_num(kept.mean(dim=1), 0.0, 0.0, 0.0)
        words = codebooks - centres[:, None]
    words = torch.where(usable[..., None], words, 0.0)
    half_norms = torch.zeros_like(words[..., 0]) if cosine else words.square().sum(dim=2) / 2
    low = words if width <= SIMT_WIDTH and not stack else words.bfloat16()
    tiny = width * 1e-37
    norms = (words.square().sum(dim=2) + tiny).sqrt().amax(dim=1)
    errors = ((words - low.float()).square().sum(dim=2) + tiny).sqrt().amax(dim=1)
    if deduplicate:
        usable = usable & ~_duplicates(codebooks)
    half_norms = torch.where(usable, half_norms, torch.inf)
    rows = -size % CODEWORD_TILE
    columns = padded_width(width) - width
    return Packed(
        codebooks,
        centres,
        torch.nn.functional.pad(low, (0, columns, 0, rows)),
        torch.nn.functional.pad(half_norms, (0, rows), value=torch.inf),
        torch.stack([norms, errors], dim=1),
        cosine,
    )


def padded_width(width: int) -> int:
    """Columns of a tile: a power of two, at least 16 (tensor cores take no fewer)."""
    return max(16, triton.next_power_of_2(width))


def _duplicates(codebooks: Tensor) -> Tensor:
    """Codewords (G, V) equal to an earlier one. A hash collision may miss some, but adds none."""
    bits = (codebooks + 0.0).view(torch.int32).long()  # -0 + 0 is 0
    multipliers = 2 * torch.arange(codebooks.shape[2], device=codebooks.device) + 1
    hashes = ((bits ^ (bits << 17)) * (multipliers * 0x9E3779B97F4A7C1)).sum(dim=2)
    order = hashes.sort(dim=1, stable=True).indices
    ordered = torch.gather(codebooks, 1, order[..., None].expand_as(codebooks))
    repeats = (ordered[:, 1:] == ordered[:, :-1]).all(dim=2)
    repeated = torch.zeros_like(hashes, dtype=torch.bool)
    return repeated.scatter(1, order[:, 1:], repeats)
