"""The searches in plain tensor operations, for `torch.compile`, `torch.export` and ONNX.

These record operations instead of running them, so they cannot look into compiled libraries or
loop over rows. Distances are in fp64 by the expanded square, so codes
equal those of `reference` unless the two best distances differ by less than its rounding,
about 1e-13 of the squared norms. Takes (N, V) numbers of memory for each search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def recording() -> bool:
    """Whether operations are recorded now."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def vq_argmin(latents: Tensor, codebook: Tensor, metric: str = "euclidean") -> Tensor:
    """As `reference.vq_argmin`."""
    rows, words = latents.double(), codebook.double()
    squares = words.square().sum(-1)[..., None, :]
    costs = rows @ words.transpose(-1, -2)
    if metric == "cosine":
        costs = -costs / torch.where(squares > 0, squares.sqrt(), torch.ones_like(squares))
    else:
        costs = squares - 2 * costs
    return torch.where(_finite(latents), costs.argmin(-1), -1)


def rvq_encode(
    latents: Tensor,
    codebooks: Tensor,
    num_codebooks: int | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """As `reference.rvq_encode`, at stride 1."""
    if strides is not None and max(strides) > 1:
        raise ValueError(f"strides {tuple(strides)} cannot be traced: expected 1 for each codebook")
    residual, codes = latents, []
    for codebook in codebooks[:num_codebooks]:
        codes.append(vq_argmin(residual, codebook))
        residual = residual - _codewords(codes[-1], codebook)
    return torch.stack(codes, 1)


def rvq_decode(codes: Tensor, codebooks: Tensor) -> Tensor:
    """As `reference.rvq_decode`."""
    stages = zip(codes.unbind(1), codebooks.unbind(0), strict=False)
    return sum(_codewords(stage, codebook) for stage, codebook in stages)


def _finite(latents: Tensor) -> Tensor:
    """Which rows are finite; `isfinite` has no counterpart in ONNX."""
    return (latents - latents == 0).all(-1)


def _codewords(codes: Tensor, codebook: Tensor) -> Tensor:
    """Codes (N,) -> codewords (N, D); -1 gives NaN, which stays -1 at all later stages."""
    found = F.embedding(codes.clamp(min=0), codebook)
    return found.masked_fill(codes[:, None] < 0, torch.nan)


def fsq_encode(latents: Tensor, levels: Sequence[int]) -> Tensor:
    """As `scalar.fsq_encode`."""
    half = torch.tensor([(size - 1) * 1.001 / 2 for size in levels], dtype=torch.float64)
    offset = torch.tensor([(1 - size % 2) / 2 for size in levels], dtype=torch.float64)
    middle = torch.tensor([size // 2 for size in levels])
    weights = torch.tensor([math.prod(levels[:d]) for d in range(len(levels))])
    bounded = (latents.double() + (offset / half).atanh()).tanh() * half - offset
    codes = ((bounded.round().long() + middle) * weights).sum(1)
    return torch.where(_finite(latents), codes, -1)


def fsq_decode(codes: Tensor, levels: Sequence[int]) -> Tensor:
    """As `scalar.fsq_decode`."""
    columns, weight = [], 1
    for level in levels:
        columns.append((_digit(codes, weight, level) - level // 2).float() / (level // 2))
        weight *= level
    return torch.stack(columns, 1).masked_fill(codes[:, None] < 0, torch.nan)


def lfq_encode(latents: Tensor) -> Tensor:
    """As `scalar.lfq_encode`."""
    weights = torch.tensor([1 << bit for bit in reversed(range(latents.shape[1]))])
    return torch.where(_finite(latents), ((latents > 0) * weights).sum(1), -1)


def lfq_decode(codes: Tensor, dimension: int, scale: float = 1.0) -> Tensor:
    """As `scalar.lfq_decode`."""
    bits = [_digit(codes, 1 << bit, 2) for bit in reversed(range(dimension))]
    signs = torch.stack(bits, 1).float() * (2 * scale) - scale
    return signs.masked_fill(codes[:, None] < 0, torch.nan)


def _digit(codes: Tensor, weight: int, base: int) -> Tensor:
    """The digit of `weight` in codes (N,) of mixed base; the remainder's shape is lost in ONNX."""
    above = codes.div(weight, rounding_mode="floor")
    return above - above.div(base, rounding_mode="floor") * base
