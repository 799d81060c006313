"""Triton residual stacks: encode in one launch with the residual on chip; decode by gathering.

A program takes one tile of rows after another through all stages. Its residuals live in a slot of
its own, small enough (64 kB, 17 MB for all) to stay in the second-level cache: in registers they
would spill. At each stage bf16 scores from tensor cores name the three best codewords of each row;
what they do not prove is decided in fp64 at once (`triton_search`), because the next stage depends
on it; then the codeword is taken off by one fp32 subtraction per element.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from audiotok.kernels.triton_search import (
    INFINITY_KEY,
    decide,
    error_bound,
    insert_tile,
    interpreted,
    product,
    verdict,
)
from audiotok.kernels.triton_vq import STACK_WIDTH, Packed, pack, vq_argmin

PROGRAMS = 264  # two for each of an H100's or H200's 132 processors


def rvq_encode(
    latents: Tensor,
    codebooks: Tensor,
    num_codebooks: int | None = None,
    strides: Sequence[int] | None = None,
    packed: Packed | None = None,
) -> Tensor:
    """Codes (N, K) int64 of latents (N, D) in a residual stack of codebooks (K, V, D).

    One launch for all stages where all strides are 1 and D <= 256; otherwise one search per stage.
    `packed`, from `pack(codebooks, stack=True)`, saves preparing them again.
    """
    stages = len(codebooks) if num_codebooks is None else num_codebooks
    latents = latents.detach().contiguous()
    pooled = strides is not None and any(stride != 1 for stride in strides[:stages])
    if pooled or latents.shape[1] > STACK_WIDTH:
        return _stage_by_stage(latents, codebooks.detach(), stages, strides)
    codes = torch.empty(latents.shape[0], stages, dtype=torch.int64, device=latents.device)
    if codes.numel():
        if packed is None:
            packed = pack(codebooks[:stages], stack=True)
        encode_stack(latents[None], packed, codes[None])
    return codes


def _stage_by_stage(
    latents: Tensor, codebooks: Tensor, stages: int, strides: Sequence[int] | None
) -> Tensor:
    residual = latents.clone()
    codes = torch.full((len(latents), stages), -1, dtype=torch.int64, device=latents.device)
    for k in range(stages if len(latents) else 0):
        stride = 1 if strides is None else strides[k]
        found = vq_argmin(_pool(residual, stride), codebooks[k])
        codes[:, k] = found.repeat_interleave(stride)[: len(residual)]
        taken = codebooks[k][codes[:, k].clamp(min=0)]
        residual = torch.where(codes[:, k, None] >= 0, residual - taken, torch.nan)
    return codes


def _pool(frames: Tensor, stride: int) -> Tensor:
    """Means (ceil(N / stride), D) of every `stride` frames (N, D); the last group may be short."""
    whole = len(frames) // stride * stride
    means = []
    for group in (frames[:whole].view(-1, stride, frames.shape[1]), frames[None, whole:]):
        if group.shape[0] and group.shape[1]:
            total = group[:, 0]
            for j in range(1, group.shape[1]):
                total = total + group[:, j]
            means.append(total / group.shape[1])
    return torch.cat(means)


def encode_stack(rows: Tensor, packed: Packed, codes: Tensor) -> None:
    """Fills codes (G, N, K) of rows (G, N, D), 16 < D <= 256, from codebooks (G * K, V, D)."""
    groups, count, width = rows.shape
    words = packed.words
    settings = stack_settings(count, words.shape[2])
    programs = min(triton.cdiv(count, settings["BN"]), PROGRAMS)
    scratch = torch.empty(groups, programs, settings["BN"], words.shape[2], device=rows.device)
    _encode[(programs, groups)](
        rows, packed.centres, words, packed.half_norms, packed.norms, packed.codebooks, codes,
        scratch, count, packed.codebooks.shape[1], words.shape[1], codes.shape[2], D=width,
        DP=words.shape[2], COSINE=packed.cosine, INTERPRETED=interpreted(),
        enable_fp_fusion=False, **settings,
    )  # fmt: skip


def stack_settings(count: int, width: int) -> dict[str, int]:
    """Tile sizes and warps for `count` rows of padded width: few rows spread over more programs.

    Chosen so that nothing spills when compiled for sm_90.
    """
    if count <= 2048:
        return {"BN": 16, "BV": 64, "BS": 256, "num_warps": 4, "num_stages": 2}
    if width <= 128:
        return {"BN": 64, "BV": 128, "BS": 256, "num_warps": 4, "num_stages": 3}
    return {"BN": 64, "BV": 128, "BS": 256, "num_warps": 8, "num_stages": 2}


@triton.jit
def _encode(
    latents, centres, words, half_norms, norms, codebooks, codes, scratch, N, V, VP, K,
    D: tl.constexpr, DP: tl.constexpr, BN: tl.constexpr, BV: tl.constexpr, BS: tl.constexpr,
    COSINE: tl.constexpr, INTERPRETED: tl.constexpr,
):  # fmt: skip
    """All stages of every num_programs-th tile of rows."""
    group = tl.program_id(1).to(tl.int64)
    latents += group * N * D
    codes += group * N * K
    scratch += (group * tl.num_programs(0) + tl.program_id(0)) * BN * DP
    place = tl.arange(0, BN)
    column = tl.arange(0, DP)
    lane = tl.arange(0, BV)
    slot = scratch + place[:, None] * DP + column[None, :]
    padding = tl.where(column < D, float("nan"), 0.0)[None, :]  # rows beyond the end are NaN
    for tile in range(tl.program_id(0), tl.cdiv(N, BN), tl.num_programs(0)):
        row = tile * BN + place
        source = latents + row.to(tl.int64)[:, None] * D + column[None, :]
        inside = (row[:, None] < N) & (column[None, :] < D)
        tl.store(slot, tl.load(source, mask=inside, other=padding))
        for k in range(0, K):
            tl.debug_barrier()  # the slot is written
            stage = group * K + k
            residual = tl.load(slot)
            finite = tl.sum(tl.where(tl.abs(residual) < float("inf"), 0, 1), axis=1) == 0
            centre = tl.load(centres + stage * D + column, mask=column < D, other=0.0)
            centred = residual - centre[None, :]
            low = centred.to(words.dtype.element_ty)
            error = centred - low.to(tl.float32)
            bound = error_bound(
                tl.sum(centred * centred, axis=1), tl.sum(error * error, axis=1),
                tl.load(norms + stage * 2), tl.load(norms + stage * 2 + 1), D, BV,
            )  # fmt: skip
            best = tl.full((BN,), INFINITY_KEY, tl.int32)
            runner_up = tl.full((BN,), INFINITY_KEY, tl.int32)
            third = tl.full((BN,), INFINITY_KEY, tl.int32)
            first = tl.full((BN,), 0, tl.int32)
            second = tl.full((BN,), 0, tl.int32)
            word = words + stage * VP * DP + lane[None, :] * DP + column[:, None]
            for start in range(0, VP, BV):
                products = product(low, tl.load(word + start * DP), INTERPRETED)
                scores = tl.load(half_norms + stage * VP + start + lane)[None, :] - products
                best, first, runner_up, second, third = insert_tile(
                    scores, start, best, first, runner_up, second, third, BV
                )
            proved, paired = verdict(best, runner_up, third, bound, BV)
            code = tl.where(finite, first, -1)
            left = tl.where(proved | (finite == 0), 0, 1)
            codebook = codebooks + stage * V * D
            for _ in range(0, tl.sum(left, axis=0)):
                one = tl.min(tl.where(left > 0, place, BN), axis=0)
                chosen = place == one
                a = tl.sum(tl.where(chosen, first, 0), axis=0)
                b = tl.sum(tl.where(chosen, second, 0), axis=0)
                pair = tl.sum(tl.where(chosen & paired, 1, 0), axis=0) > 0
                x = tl.load(scratch + one * DP + column)
                decided = decide(x, a, b, pair, codebook, V, D, DP, BS, COSINE)
                code = tl.where(chosen, decided, code)
                left = tl.where(chosen, 0, left)
            tl.store(codes + row.to(tl.int64) * K + k, code.to(tl.int64), mask=row < N)
            tl.debug_barrier()  # the slot is read
            if k + 1 < K:
                valid = (code >= 0)[:, None]
                source = codebook + code[:, None] * D + column[None, :]
                taken = tl.load(source, mask=valid & (column < D)[None, :], other=0.0)
                tl.store(slot, tl.where(valid, tl.load(slot) - taken, float("nan")))


def rvq_decode(codes: Tensor, codebooks: Tensor) -> Tensor:
    """Sums (N, D) fp32 of the codewords that codes (N, K) name in the first K of (>= K, V, D).

    Added in the order of the stages. A row with a code outside of 0 to V - 1 becomes NaN.
    """
    codes, codebooks = codes.contiguous(), codebooks.detach().contiguous()
    _, size, width = codebooks.shape
    decoded = torch.empty(codes.shape[0], width, dtype=torch.float32, device=codes.device)
    if decoded.numel():
        columns = min(128, padded_columns(width))
        grid = (triton.cdiv(codes.shape[0], 32), triton.cdiv(width, columns))
        _decode[grid](
            codes, codebooks, decoded, codes.shape[0], codes.shape[1], size, width,
            BN=32, BD=columns, num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip
    return decoded


def padded_columns(width: int) -> int:
    return max(8, triton.next_power_of_2(width))


@triton.jit
def _decode(codes, codebooks, decoded, N, K, V, D, BN: tl.constexpr, BD: tl.constexpr):
    row = (tl.program_id(0) * BN + tl.arange(0, BN)).to(tl.int64)
    column = tl.program_id(1) * BD + tl.arange(0, BD)
    total = tl.zeros((BN, BD), tl.float32)
    valid = row < N
    for k in range(0, K):
        code = tl.load(codes + row * K + k, mask=row < N, other=0)
        valid = valid & (code >= 0) & (code < V)
        inside = valid[:, None] & (column < D)[None, :]
        word = codebooks + (k * V + code)[:, None] * D + column[None, :]
        value = tl.load(word, mask=inside, other=0.0)
        total = tl.where(k == 0, value, total + value)  # 0 + (-0) would lose the sign
    total = tl.where(valid[:, None], total, float("nan"))
    inside = (row < N)[:, None] & (column < D)[None, :]
    tl.store(decoded + row[:, None] * D + column[None, :], total, mask=inside)
