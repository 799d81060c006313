"""Triton FSQ, LFQ and BSQ: bound, round and pack in one pass, unpack in another.

FSQ's bounded and rounded level is a step function of one fp32 number. The positions of the steps
are computed once, by bisection of the reference's fp64 formula, so the kernel only compares, and
its codes equal the reference's, independent of the tanh of a device.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

_ROWS = 128  # per program


def fsq_encode(latents: Tensor, levels: Sequence[int]) -> Tensor:
    """Codes (N,) int64 by finite scalar quantization of latents (N, D); see the reference."""
    latents = latents.detach().contiguous()
    codes = torch.empty(latents.shape[0], dtype=torch.int64, device=latents.device)
    if codes.numel():
        steps, basis, _ = _tables(tuple(levels), str(latents.device))
        _fsq_encode[(triton.cdiv(codes.numel(), _ROWS),)](
            latents, steps, basis, codes, codes.numel(), steps.shape[1], D=latents.shape[1],
            BN=_ROWS, num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
    return codes


def fsq_decode(codes: Tensor, levels: Sequence[int]) -> Tensor:
    """Vectors (N, D) fp32 in [-1, 1] of FSQ codes (N,); -1 gives NaN."""
    rows = torch.empty(len(codes), len(levels), device=codes.device)
    if rows.numel():
        _, basis, sizes = _tables(tuple(levels), str(codes.device))
        _fsq_decode[(triton.cdiv(len(codes), _ROWS),)](
            codes.contiguous(), basis, sizes, rows, len(codes), D=len(levels), BN=_ROWS,
            num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
    return rows


def lfq_encode(latents: Tensor) -> Tensor:
    """Codes (N,) int64 by the signs of latents (N, D), D <= 62; LFQ and BSQ."""
    latents = latents.detach().contiguous()
    codes = torch.empty(latents.shape[0], dtype=torch.int64, device=latents.device)
    if codes.numel():
        _lfq_encode[(triton.cdiv(codes.numel(), _ROWS),)](
            latents, codes, codes.numel(), latents.shape[1], BN=_ROWS,
            DP=triton.next_power_of_2(latents.shape[1]), num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
    return codes


def lfq_decode(codes: Tensor, dimension: int, scale: float = 1.0) -> Tensor:
    """Vectors (N, D) fp32 of +-scale (LFQ: 1, BSQ: 1 / sqrt(D)); -1 gives NaN."""
    rows = torch.empty(len(codes), dimension, device=codes.device)
    if rows.numel():
        _lfq_decode[(triton.cdiv(len(codes), _ROWS),)](
            codes.contiguous(), rows, float(scale), len(codes), dimension, BN=_ROWS,
            DP=triton.next_power_of_2(dimension), num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
    return rows


@lru_cache(maxsize=32)
def _tables(levels: tuple[int, ...], device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Steps (D, max(levels) - 1) fp32, the place values and the sizes (D,) int64."""
    widest = max(levels) - 1
    steps = [[_step(size, j) if j < size else math.inf for j in range(1, widest + 1)]
             for size in levels]  # fmt: skip
    basis = [math.prod(levels[:d]) for d in range(len(levels))]
    return (
        torch.tensor(steps, dtype=torch.float32, device=device),
        torch.tensor(basis, device=device),
        torch.tensor(levels, device=device),
    )


@lru_cache(maxsize=4096)
def _step(size: int, level: int) -> float:
    """The smallest fp32 number that FSQ with `size` values puts at `level` or above."""
    half = (size - 1) * 1.001 / 2
    offset = 0.5 if size % 2 == 0 else 0.0
    shift = math.atanh(offset / half)
    low, high = -0x7F800000, 0x7F800000  # ordinals of fp32, from -inf to inf
    while high - low > 1:
        middle = (low + high) // 2
        x = _number(middle)
        if round(math.tanh(x + shift) * half - offset) + size // 2 >= level:
            high = middle
        else:
            low = middle
    return _number(high)


def _number(ordinal: int) -> float:
    """The fp32 numbers in order: 0 is 0.0, 1 the smallest above it, -1 the largest below it."""
    value = struct.unpack("<f", struct.pack("<I", abs(ordinal)))[0]
    return math.copysign(value, ordinal)


@triton.jit
def _fsq_encode(
    latents, steps, basis, codes, N, T, D: tl.constexpr, BN: tl.constexpr
):  # fmt: skip
    row = (tl.program_id(0) * BN + tl.arange(0, BN)).to(tl.int64)
    code = tl.zeros((BN,), tl.int64)
    finite = row < N
    for d in tl.static_range(D):
        x = tl.load(latents + row * D + d, mask=row < N, other=0.0)
        finite = finite & (tl.abs(x) < float("inf"))
        level = tl.zeros((BN,), tl.int64)
        for t in range(0, T):
            level += (x >= tl.load(steps + d * T + t)).to(tl.int64)
        code += level * tl.load(basis + d)
    tl.store(codes + row, tl.where(finite, code, -1), mask=row < N)


@triton.jit
def _fsq_decode(codes, basis, sizes, rows, N, D: tl.constexpr, BN: tl.constexpr):
    row = (tl.program_id(0) * BN + tl.arange(0, BN)).to(tl.int64)
    code = tl.load(codes + row, mask=row < N, other=0)
    for d in tl.static_range(D):
        size = tl.load(sizes + d)
        level = (code // tl.load(basis + d)) % size - size // 2
        value = (level.to(tl.float64) / (size // 2).to(tl.float64)).to(tl.float32)
        tl.store(rows + row * D + d, tl.where(code >= 0, value, float("nan")), mask=row < N)


@triton.jit
def _lfq_encode(latents, codes, N, D, BN: tl.constexpr, DP: tl.constexpr):
    row = (tl.program_id(0) * BN + tl.arange(0, BN)).to(tl.int64)
    column = tl.arange(0, DP)
    inside = (row < N)[:, None] & (column < D)[None, :]
    x = tl.load(latents + row[:, None] * D + column[None, :], mask=inside, other=0.0)
    bits = (x > 0).to(tl.int64) << tl.maximum(D - 1 - column, 0).to(tl.int64)[None, :]
    finite = tl.sum(tl.where(tl.abs(x) < float("inf"), 0, 1), axis=1) == 0
    tl.store(codes + row, tl.where(finite, tl.sum(bits, axis=1), -1), mask=row < N)


@triton.jit
def _lfq_decode(codes, rows, scale, N, D, BN: tl.constexpr, DP: tl.constexpr):
    row = (tl.program_id(0) * BN + tl.arange(0, BN)).to(tl.int64)
    column = tl.arange(0, DP)
    code = tl.load(codes + row, mask=row < N, other=0)
    bit = (code[:, None] >> tl.maximum(D - 1 - column, 0).to(tl.int64)[None, :]) & 1
    value = tl.where(bit == 1, scale, -scale)
    value = tl.where((code >= 0)[:, None], value, float("nan"))
    inside = (row < N)[:, None] & (column < D)[None, :]
    tl.store(rows + row[:, None] * D + column[None, :], value, mask=inside)
