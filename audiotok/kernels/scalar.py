"""Quantizers without a codebook, bounded, rounded and packed in one pass: FSQ, and LFQ or BSQ.

Element by element in fp64, so the codes do not depend on the device, except for the last bit of its
tanh, which matters only if a value is within 1e-15 of a boundary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from audiotok.kernels.dispatch import function, traceable
from audiotok.system.denormals import keep_denormals

_BLOCK_ELEMENTS = 1 << 16  # elements in fp64 at once: they stay in the cache


@traceable
@keep_denormals()
def fsq_encode(latents: Tensor, levels: Sequence[int]) -> Tensor:
    """Codes (N,) int64 of latents (N, D) float32; dimension d has `levels[d]` values (>= 2).

    Finite scalar quantization (arXiv 2309.15505), as in the code of its authors and in
    vector-quantize-pytorch; the first dimension varies fastest. Rows with NaN or infinity get -1.

    Raises:
        ValueError: latents and levels do not fit.
    """
    _check(latents, len(levels))
    if min(levels, default=2) < 2 or math.prod(levels) >= 1 << 63:
        raise ValueError(f"levels are {tuple(levels)}: expected each >= 2, their product < 2^63")
    return function("fsq_encode", latents, _fsq_encode)(latents.detach(), tuple(levels))


@traceable
def fsq_decode(codes: Tensor, levels: Sequence[int]) -> Tensor:
    """Vectors (N, D) float32 in [-1, 1] of FSQ codes (N,); -1 gives NaN."""
    return function("fsq_decode", codes, _fsq_decode)(codes, tuple(levels))


@traceable
@keep_denormals()
def lfq_encode(latents: Tensor) -> Tensor:
    """Codes (N,) int64 of latents (N, D) float32, D <= 62: bit D - 1 - d is 1 where x_d > 0.

    Look-up free quantization (arXiv 2310.05737), and binary spherical quantization (arXiv
    2406.07548), whose normalisation changes no sign. Rows with NaN or infinity get -1.

    Raises:
        ValueError: latents are not (N, D) float32 with D <= 62.
    """
    _check(latents, min(latents.shape[-1], 62))
    return function("lfq_encode", latents, _lfq_encode)(latents.detach())


@traceable
def lfq_decode(codes: Tensor, dimension: int, scale: float = 1.0) -> Tensor:
    """Vectors (N, D) float32 of +-scale (LFQ: 1, BSQ: 1 / sqrt(D)) of codes (N,); -1 gives NaN."""
    return function("lfq_decode", codes, _lfq_decode)(codes, dimension, scale)


def _check(latents: Tensor, dimension: int) -> None:
    if latents.ndim != 2 or latents.shape[1] != dimension or latents.dtype != torch.float32:
        raise ValueError(
            f"latents are {tuple(latents.shape)} {latents.dtype}: "
            f"expected (N, {dimension}) torch.float32"
        )


@lru_cache(maxsize=64)
def _constants(levels: tuple[int, ...], device: torch.device) -> tuple[Tensor, ...]:
    """Shift, half range, offset and weight of each dimension, (D,) fp64 or int64."""
    half = [(size - 1) * 1.001 / 2 for size in levels]
    offset = [0.5 if size % 2 == 0 else 0.0 for size in levels]
    shift = [math.atanh(o / h) for o, h in zip(offset, half, strict=True)]
    # added to a rounded value, this gives a level from 0 on
    middle = [size // 2 for size in levels]
    basis = [math.prod(levels[:d]) for d in range(len(levels))]
    floats = torch.tensor([shift, half, offset], dtype=torch.float64, device=device)
    return (*floats, *torch.tensor([middle, basis, levels], device=device))


def _fsq_encode(latents: Tensor, levels: tuple[int, ...]) -> Tensor:
    shift, half, offset, middle, basis, _ = _constants(levels, latents.device)
    codes = latents.new_empty(len(latents), dtype=torch.int64)
    block = max(1, _BLOCK_ELEMENTS // len(levels))
    for rows, out in zip(latents.split(block), codes.split(block), strict=True):
        bounded = (rows.double() + shift).tanh_().mul_(half).sub_(offset).round_()
        finite = torch.isfinite(rows).all(dim=1)
        steps = bounded.nan_to_num_(0.0).to(torch.int64).add_(middle)
        out.copy_(steps.mul_(basis).sum(dim=1).masked_fill_(~finite, -1))
    return codes


def _fsq_decode(codes: Tensor, levels: tuple[int, ...]) -> Tensor:
    _, _, _, middle, basis, sizes = _constants(levels, codes.device)
    steps = (codes[:, None] // basis) % sizes - middle
    return (steps / middle).masked_fill_(codes[:, None] < 0, torch.nan)


def _lfq_encode(latents: Tensor) -> Tensor:
    weights = 1 << torch.arange(latents.shape[1] - 1, -1, -1, device=latents.device)
    codes = ((latents > 0) * weights).sum(dim=1)
    return codes.masked_fill_(~torch.isfinite(latents).all(dim=1), -1)


def _lfq_decode(codes: Tensor, dimension: int, scale: float) -> Tensor:
    bits = codes[:, None] >> torch.arange(dimension - 1, -1, -1, device=codes.device) & 1
    vectors = torch.where(bits > 0, scale, -scale).float()
    return vectors.masked_fill_(codes[:, None] < 0, torch.nan)
