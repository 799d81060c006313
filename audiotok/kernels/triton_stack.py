"""The kernel that encodes a stack of codebooks in one launch, with the residual on chip.

A program runs one tile of rows after another through all stages. It keeps their residuals in its
own scratch slot, small enough (64 kB, 17 MB for all) to stay in the second-level cache; in
registers they would spill. At each stage bf16 scores from tensor cores give the three best
codewords of each row. Rows that they do not decide are decided in fp64 at once (`triton_search`),
because the next stage depends on them; then the codeword is subtracted, one fp32 operation per
element.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from audiotok.kernels.triton_codebooks import Packed
from audiotok.kernels.triton_search import (
    INFINITY_KEY,
    decide,
    error_bound,
    insert_tile,
    interpreted,
    product,
    verdict,
)

PROGRAMS = 264  # two for each of an H100's or H200's 132 processors


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
                codeword = tl.load(source, mask=valid & (column < D)[None, :], other=0.0)
                tl.store(slot, tl.where(valid, tl.load(slot) - codeword, float("nan")))
