"""Triton `vq_argmin`: one codebook, or a group of them, searched exactly without a distance matrix.

Three prefilters, by width: fp32 multiply-adds up to D = 16, the residual stack's kernel with one
stage up to D = 256 (`triton_stack`), and above that a tensor-core product over chunks of D. Rows
that a prefilter cannot decide go to a list, and `_settle` decides them in fp64 (`triton_search`).
The host reads nothing back, so a call can be captured in a CUDA graph.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from audiotok.kernels.triton_codebooks import (
    SIMT_WIDTH,
    STACK_WIDTH,
    Packed,
    pack,
    padded_width,
)
from audiotok.kernels.triton_search import (
    INFINITY_KEY,
    decide,
    error_bound,
    insert_tile,
    interpreted,
    product,
    verdict,
)
from audiotok.kernels.triton_stack import encode_stack

DEDUPLICATE_FROM = 4096  # with at least so many rows, searching for duplicate codewords saves time

CHUNK_ELEMENTS = 1 << 24  # bf16 copies of latents held at once: 32 MiB


def vq_argmin(
    latents: Tensor, codebook: Tensor, metric: str = "euclidean", packed: Packed | None = None
) -> Tensor:
    """Codes (N,) int64 of latents (N, D) in a codebook (V, D), or (G, N) of (G, N, D), (G, V, D).

    `metric` is "euclidean" or "cosine". `packed`, from `pack`, saves preparing a codebook again.
    """
    grouped = latents.ndim == 3
    rows = (latents if grouped else latents[None]).detach().contiguous()
    codes = torch.empty(rows.shape[:2], dtype=torch.int64, device=rows.device)
    if rows.shape[0] and rows.shape[1]:
        if packed is None:
            words = codebook if grouped else codebook[None]
            packed = pack(words, metric == "cosine", rows.shape[1] >= DEDUPLICATE_FROM)
        _search(rows, packed, codes)
    return codes if grouped else codes[0]


def _search(rows: Tensor, packed: Packed, codes: Tensor) -> None:
    width = rows.shape[2]
    if SIMT_WIDTH < width <= STACK_WIDTH:
        encode_stack(rows, packed, codes[..., None])
        return
    step = rows.shape[1]
    if width > STACK_WIDTH:
        step = max(128, CHUNK_ELEMENTS // (rows.shape[0] * packed.words.shape[2]))
    for start in range(0, rows.shape[1], step):
        part = rows[:, start : start + step].contiguous()
        search = _narrow if width <= SIMT_WIDTH else _wide
        codes[:, start : start + step] = search(part, packed)


class _Unproved(NamedTuple):
    """Per group: the number of undecided rows, their indices, and each one's second candidate."""

    count: Tensor  # (G,) int32
    rows: Tensor  # (G, N) int32, in any order: the code of a row does not depend on other rows
    second: Tensor  # (G, N) int32; -1 where more than two candidates are left


def _unproved(groups: int, count: int, device: torch.device) -> _Unproved:
    lists = torch.empty(2, groups, count, dtype=torch.int32, device=device)
    return _Unproved(torch.zeros(groups, dtype=torch.int32, device=device), lists[0], lists[1])


def _narrow(rows: Tensor, packed: Packed, BN: int = 64, BV: int = 16) -> Tensor:
    groups, count, width = rows.shape
    codes = torch.empty(groups, count, dtype=torch.int64, device=rows.device)
    left = _unproved(groups, count, rows.device)
    words = packed.words
    _score_narrow[(triton.cdiv(count, BN), groups)](
        rows, packed.centres, words, packed.half_norms, packed.norms, codes, *left,
        count, words.shape[1], D=width, DP=words.shape[2], BN=BN, BV=BV,
        num_warps=4, enable_fp_fusion=False,
    )  # fmt: skip
    _decide_rest(rows, packed, codes, left)
    return codes


def _wide(rows: Tensor, packed: Packed, BN: int = 128, BV: int = 128, BD: int = 64) -> Tensor:
    groups, count, width = rows.shape
    words = packed.words
    codes = torch.empty(groups, count, dtype=torch.int64, device=rows.device)
    left = _unproved(groups, count, rows.device)
    low = torch.empty(groups, count, words.shape[2], dtype=words.dtype, device=rows.device)
    bounds = torch.empty(groups, count, dtype=torch.float32, device=rows.device)
    _lower[(triton.cdiv(count, 16), groups)](
        rows, packed.centres, packed.norms, low, bounds, count, width,
        DP=words.shape[2], BN=16, BV=BV, BD=BD, num_warps=4, enable_fp_fusion=False,
    )  # fmt: skip
    _score_wide[(triton.cdiv(count, BN), groups)](
        low, words, packed.half_norms, bounds, codes, *left, count, words.shape[1],
        DP=words.shape[2], BN=BN, BV=BV, BD=BD, INTERPRETED=interpreted(),
        num_warps=8, num_stages=3, enable_fp_fusion=False,
    )  # fmt: skip
    _decide_rest(rows, packed, codes, left)
    return codes


def _decide_rest(rows: Tensor, packed: Packed, codes: Tensor, left: _Unproved) -> None:
    groups, count, width = rows.shape
    _settle[(min(count, 1056), groups)](
        rows, packed.codebooks, codes, *left, count, packed.codebooks.shape[1], width,
        DP=padded_width(width), BS=256, COSINE=packed.cosine, num_warps=4, enable_fp_fusion=False,
    )  # fmt: skip


@triton.jit
def _list(codes, second_codes, count, unproved, row, N, best, first, runner_up, second, third,
          bound, BV: tl.constexpr):  # fmt: skip
    """Stores a tile's codes and appends the rows that are not proved to the group's list."""
    proved, paired = verdict(best, runner_up, third, bound, BV)
    tl.store(codes + row, first.to(tl.int64), mask=row < N)
    tl.store(second_codes + row, tl.where(paired, second, -1), mask=row < N)
    open_rows = ((proved == 0) & (row < N)).to(tl.int32)
    start = tl.atomic_add(count, tl.sum(open_rows, axis=0))
    place = start + tl.cumsum(open_rows, axis=0) - 1
    tl.store(unproved + place, row, mask=open_rows > 0)


@triton.jit
def _score_narrow(
    latents, centres, words, half_norms, norms, codes, count, unproved, second_codes, N, VP,
    D: tl.constexpr, DP: tl.constexpr, BN: tl.constexpr, BV: tl.constexpr,
):  # fmt: skip
    """fp32 scores by multiply-adds, latents in registers."""
    group = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * BN + tl.arange(0, BN)
    latents += group * N * D + row.to(tl.int64) * D
    words += group * VP * DP
    best = tl.full((BN,), INFINITY_KEY, tl.int32)
    runner_up = tl.full((BN,), INFINITY_KEY, tl.int32)
    third = tl.full((BN,), INFINITY_KEY, tl.int32)
    first = tl.full((BN,), 0, tl.int32)
    second = tl.full((BN,), 0, tl.int32)
    squares = tl.zeros((BN,), tl.float32)
    for d in tl.static_range(D):
        x = tl.load(latents + d, mask=row < N, other=0.0) - tl.load(centres + group * D + d)
        squares += x * x
    for start in range(0, VP, BV):
        index = start + tl.arange(0, BV)
        scores = tl.zeros((BN, BV), tl.float32) + tl.load(half_norms + group * VP + index)[None, :]
        for d in tl.static_range(D):
            x = tl.load(latents + d, mask=row < N, other=0.0) - tl.load(centres + group * D + d)
            scores = tl.fma(-x[:, None], tl.load(words + index * DP + d)[None, :], scores)
        best, first, runner_up, second, third = insert_tile(
            scores, start, best, first, runner_up, second, third, BV
        )
    norm = tl.load(norms + group * 2)
    error = tl.load(norms + group * 2 + 1)
    bound = error_bound(squares, tl.zeros_like(squares), norm, error, D, BV)
    _list(codes + group * N, second_codes + group * N, count + group, unproved + group * N, row, N,
          best, first, runner_up, second, third, bound, BV)  # fmt: skip


@triton.jit
def _lower(
    latents, centres, norms, low, bounds, N, D, DP: tl.constexpr, BN: tl.constexpr,
    BV: tl.constexpr, BD: tl.constexpr,
):  # fmt: skip
    """bf16 copies (N, DP) of centred latents and the error bound of each row's scores."""
    group = tl.program_id(1).to(tl.int64)
    row = (tl.program_id(0) * BN + tl.arange(0, BN)).to(tl.int64)
    squares = tl.zeros((BN,), tl.float32)
    errors = tl.zeros((BN,), tl.float32)
    for start in range(0, DP, BD):
        d = start + tl.arange(0, BD)
        inside = (row[:, None] < N) & (d[None, :] < D)
        x = tl.load(latents + (group * N + row[:, None]) * D + d[None, :], mask=inside, other=0.0)
        x = x - tl.load(centres + group * D + d, mask=d < D, other=0.0)[None, :]
        copy = x.to(low.dtype.element_ty)
        error = x - copy.to(tl.float32)
        squares += tl.sum(x * x, axis=1)
        errors += tl.sum(error * error, axis=1)
        tl.store(low + (group * N + row[:, None]) * DP + d[None, :], copy, mask=row[:, None] < N)
    bound = error_bound(
        squares, errors, tl.load(norms + group * 2), tl.load(norms + group * 2 + 1), D, BV
    )
    tl.store(bounds + group * N + row, bound, mask=row < N)


@triton.jit
def _score_wide(
    low, words, half_norms, bounds, codes, count, unproved, second_codes, N, VP,
    DP: tl.constexpr, BN: tl.constexpr, BV: tl.constexpr, BD: tl.constexpr,
    INTERPRETED: tl.constexpr,
):  # fmt: skip
    """bf16 scores on tensor cores, D in chunks; inputs are padded, so the loop has no masks."""
    group = tl.program_id(1).to(tl.int64)
    row = tl.program_id(0) * BN + tl.arange(0, BN)
    inside = tl.minimum(row, N - 1).to(tl.int64)  # rows beyond the end repeat the last
    lane = tl.arange(0, BV)
    chunk = tl.arange(0, BD)
    low += (group * N + inside[:, None]) * DP + chunk[None, :]
    words += group * VP * DP + lane[None, :] * DP + chunk[:, None]
    best = tl.full((BN,), INFINITY_KEY, tl.int32)
    runner_up = tl.full((BN,), INFINITY_KEY, tl.int32)
    third = tl.full((BN,), INFINITY_KEY, tl.int32)
    first = tl.full((BN,), 0, tl.int32)
    second = tl.full((BN,), 0, tl.int32)
    for start in range(0, VP, BV):
        products = tl.zeros((BN, BV), tl.float32)
        for d in range(0, DP, BD):
            products += product(tl.load(low + d), tl.load(words + start * DP + d), INTERPRETED)
        scores = tl.load(half_norms + group * VP + start + lane)[None, :] - products
        best, first, runner_up, second, third = insert_tile(
            scores, start, best, first, runner_up, second, third, BV
        )
    bound = tl.load(bounds + group * N + inside)
    _list(codes + group * N, second_codes + group * N, count + group, unproved + group * N, row, N,
          best, first, runner_up, second, third, bound, BV)  # fmt: skip


@triton.jit
def _settle(
    latents, codebooks, codes, count, unproved, second_codes, N, V, D, DP: tl.constexpr,
    BS: tl.constexpr, COSINE: tl.constexpr,
):  # fmt: skip
    """Decides the listed rows in fp64; a row that is not finite gets -1."""
    group = tl.program_id(1).to(tl.int64)
    latents += group * N * D
    codes += group * N
    columns = tl.arange(0, DP)
    for place in range(tl.program_id(0), tl.load(count + group), tl.num_programs(0)):
        row = tl.load(unproved + group * N + place).to(tl.int64)
        x = tl.load(latents + row * D + columns, mask=columns < D, other=0.0)
        code = tl.full((), -1, tl.int32)
        if tl.sum(tl.where(tl.abs(x) < float("inf"), 0, 1), axis=0) == 0:
            first = tl.load(codes + row).to(tl.int32)
            second = tl.load(second_codes + group * N + row)
            code = decide(
                x, first, tl.maximum(second, 0), second >= 0, codebooks + group * V * D, V, D,
                DP, BS, COSINE,
            )  # fmt: skip
        tl.store(codes + row, code.to(tl.int64))
