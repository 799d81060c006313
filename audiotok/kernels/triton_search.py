"""Triton device code for exact codebook search: scores as sortable keys, error bounds, fp64 costs.

A low-precision score of a codeword is 1/2 ||c||^2 - x.c (Euclidean) or -x.c/||c|| (cosine), with
the mean codeword subtracted from x and c in the Euclidean case. A row is decided in up to three
steps:

1. the prefilter keeps the three best scores. If the second is more than twice the row's error
   bound above the first, the first is proved to be the nearest;
2. if the third is that far above, the two best are compared in fp64, in any order of summation,
   and the comparison counts if the difference exceeds the rounding of that sum;
3. otherwise all codewords are scored in fp64 in the reference's order (d = 0, 1, 2, ...), lowest
   index first. Without contraction to FMA (launches pass `enable_fp_fusion=False`) the result is
   the reference's to the bit.

Scores are compared as int32 keys, whose low bits hold the column within a tile: one integer
minimum gives score and column, and NaN has no special meaning. A row whose bound is not a number
or too large for fp32 is never proved, so it ends in step 3.
"""

from __future__ import annotations

import triton
import triton.language as tl

LARGEST_KEY = tl.constexpr(0x7FFFFFFF)
INFINITY_KEY = tl.constexpr(0x7F800000)
LARGEST_SCALE = tl.constexpr(1e37)  # beyond it fp32 scores could overflow
TINY = tl.constexpr(1e-37)  # per element: covers denormals that tensor cores may flush


def interpreted() -> bool:
    """Whether kernels run in Triton's interpreter, whose dot cannot multiply bf16."""
    return triton.knobs.runtime.interpret


@triton.jit
def product(a, b, INTERPRETED: tl.constexpr):
    """a (M, D) times b (D, N), both bf16, summed in fp32: exact products, rounded sums."""
    tl.static_assert(a.dtype == tl.bfloat16, "fp32 would become TF32 without being counted")
    if INTERPRETED:
        return tl.dot(a.to(tl.float32), b.to(tl.float32), input_precision="ieee")
    return tl.dot(a, b)


@triton.jit
def score_keys(scores, columns, BV: tl.constexpr):
    """Int32 keys (BN, BV), ordered as the fp32 scores except for their log2(BV) lowest bits."""
    bits = scores.to(tl.int32, bitcast=True)
    bits = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (bits & (-BV)) | columns[None, :]


@triton.jit
def key_scores(keys, BV: tl.constexpr):
    """The fp32 scores of keys, each at most BV units in the last place too low."""
    bits = keys & (-BV)
    bits = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return bits.to(tl.float32, bitcast=True)


@triton.jit
def insert(key, code, best, first, runner_up, second, third):
    """Puts the keys (BN,) into the running three best; codes are kept of the first two."""
    beats_best = key < best
    beats_runner_up = key < runner_up
    third = tl.where(beats_runner_up, runner_up, tl.minimum(third, key))
    second = tl.where(beats_best, first, tl.where(beats_runner_up, code, second))
    runner_up = tl.where(beats_best, best, tl.minimum(runner_up, key))
    first = tl.where(beats_best, code, first)
    best = tl.minimum(best, key)
    return best, first, runner_up, second, third


@triton.jit
def insert_tile(scores, start, best, first, runner_up, second, third, BV: tl.constexpr):
    """Puts a tile of scores (BN, BV), of the codewords from `start` on, into the three best."""
    keys = score_keys(scores, tl.arange(0, BV), BV)
    one = tl.min(keys, axis=1)
    keys = tl.where(keys == one[:, None], LARGEST_KEY, keys)
    two = tl.min(keys, axis=1)
    keys = tl.where(keys == two[:, None], LARGEST_KEY, keys)
    three = tl.min(keys, axis=1)
    best, first, runner_up, second, third = insert(
        one, start + (one & (BV - 1)), best, first, runner_up, second, third
    )
    best, first, runner_up, second, third = insert(
        two, start + (two & (BV - 1)), best, first, runner_up, second, third
    )
    third = tl.where(three < runner_up, runner_up, tl.minimum(third, three))
    return best, first, runner_up, second, third


@triton.jit
def error_bound(squares, errors, norm, error, D, BV: tl.constexpr):
    """Bounds (BN,) on |score - true score|, infinite if the scores may have overflowed.

    squares, errors (BN,): sums of squares of x and of x minus its low-precision copy; norm and
    error: the largest ||c|| and ||c - low-precision c|| of the codebook. Cauchy-Schwarz for the
    low-precision copies; D + 16 roundings of 2^-22, four times fp32's, for the accumulation on
    tensor cores, which may truncate; BV units in the last place for the keys.
    """
    row_norm = tl.sqrt(squares + D * TINY)
    row_error = tl.sqrt(errors + D * TINY)
    scale = row_norm * norm + 0.5 * norm * norm
    rounding = (D + 16 + BV) * 2.3841858e-07 * scale
    flushed = D * TINY * (row_norm + norm + 1.0)
    bound = 1.01 * (row_error * norm + 1.01 * row_norm * error + rounding + flushed)
    return tl.where(scale < LARGEST_SCALE, bound, float("inf"))


@triton.jit
def verdict(best, runner_up, third, bound, BV: tl.constexpr):
    """(proved, paired), (BN,) each: the first is the winner; the winner is first or second."""
    limit = key_scores(best, BV) + 2.0 * bound
    return key_scores(runner_up, BV) > limit, key_scores(third, BV) > limit


@triton.jit
def scan(x, codebook, V, D, DP: tl.constexpr, BS: tl.constexpr, COSINE: tl.constexpr):
    """The code of one row x (DP,) by the reference's fp64 arithmetic over all V codewords.

    A codeword that is not finite is skipped; the code is -1 if there is no other.
    """
    columns = tl.arange(0, DP)
    lanes = tl.arange(0, BS)
    best = tl.full((BS,), float("inf"), tl.float64)
    code = tl.full((BS,), 0, tl.int32)
    for start in range(0, V, BS):
        index = start + lanes
        total = tl.zeros((BS,), tl.float64)
        squares = tl.zeros((BS,), tl.float64)
        for d in range(0, D):
            value = tl.sum(tl.where(columns == d, x, 0.0), axis=0).to(tl.float64)
            word = tl.load(codebook + index * D + d, mask=index < V, other=0.0).to(tl.float64)
            if COSINE:
                total += value * word
                squares += word * word
            else:
                difference = value - word
                total += difference * difference
        if COSINE:
            norm = tl.sqrt(tl.where(squares > 0.0, squares, 1.0))
            total = -tl.where(squares > 0.0, total / norm, 0.0)
        total = tl.where((index < V) & (tl.abs(total) < float("inf")), total, float("inf"))
        code = tl.where(total < best, index, code)
        best = tl.where(total < best, total, best)
    smallest = tl.min(best, axis=0)
    winner = tl.min(tl.where(best == smallest, code, V), axis=0)
    return tl.where(smallest < float("inf"), winner, -1)


@triton.jit
def decide(
    x,
    first,
    second,
    paired,
    codebook,
    V,
    D,
    DP: tl.constexpr,
    BS: tl.constexpr,
    COSINE: tl.constexpr,
):
    """The code of one finite row x (DP,): steps 2 and 3. `paired`: it is first or second."""
    columns = tl.arange(0, DP)
    code = first
    settled = paired & False
    if paired:
        row = x.to(tl.float64)
        a = tl.load(codebook + first * D + columns, mask=columns < D, other=0.0).to(tl.float64)
        b = tl.load(codebook + second * D + columns, mask=columns < D, other=0.0).to(tl.float64)
        if COSINE:
            norm_a = tl.sum(a * a, axis=0)
            norm_b = tl.sum(b * b, axis=0)
            root_a = tl.sqrt(tl.where(norm_a > 0.0, norm_a, 1.0))
            root_b = tl.sqrt(tl.where(norm_b > 0.0, norm_b, 1.0))
            score_a = -tl.sum(row * a, axis=0) / root_a
            score_b = -tl.sum(row * b, axis=0) / root_b
            size = 2.0 * tl.sqrt(tl.sum(row * row, axis=0))
        else:
            score_a = tl.sum((row - a) * (row - a), axis=0)
            score_b = tl.sum((row - b) * (row - b), axis=0)
            size = score_a + score_b
        code = tl.where(score_b < score_a, second, first)
        # each sum is within (D + 4) 2^-53 of its true value, the reference's as well
        settled = tl.abs(score_a - score_b) > (D + 8) * 4.440892098500626e-16 * size
    if settled == 0:
        code = scan(x, codebook, V, D, DP, BS, COSINE)
    return code
