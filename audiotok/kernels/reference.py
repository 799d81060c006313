"""The definition of every function in `audiotok.kernels`; all other paths must equal it.

Codebook search: the code of a row of latents is the lowest index that attains the minimum, over
the codewords, of the sum over d of (x_d - c_d)^2, in fp64 from the fp32 tensors: terms are added
one by one in the order of d, every operation rounded once (no fused multiply-add). For cosine
search it is the lowest index that attains the maximum of x.c / ||c||, computed the same way; a
codeword of zeros scores 0.

A row with NaN or infinity has code -1. A codeword with NaN or infinity is never chosen; if there is
no other, the code is -1. A row that has -1 at one stage of a residual stack has it at all later
ones.

Written for readability: loops over rows, stages and dimensions. Any device, no gradients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def squared_distances(latents: Tensor, codewords: Tensor) -> Tensor:
    """Squared Euclidean distances (...,) in fp64 of two broadcastable (..., D) fp32 tensors."""
    total = 0.0
    for x, c in zip(latents.double().unbind(-1), codewords.double().unbind(-1), strict=True):
        total = total + (x - c) * (x - c)
    return total


def cosine_scores(latents: Tensor, codewords: Tensor) -> Tensor:
    """x.c / ||c|| (...,) in fp64 of two broadcastable (..., D) fp32 tensors; 0 where c is 0."""
    dot, square = 0.0, 0.0
    for x, c in zip(latents.double().unbind(-1), codewords.double().unbind(-1), strict=True):
        dot = dot + x * c
        square = square + c * c
    return torch.where(square > 0, dot / _square_root(square), torch.zeros_like(dot))


def _square_root(values: Tensor) -> Tensor:
    """Correctly rounded as in IEEE 754; PyTorch's on the CPU can be one bit off."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.sqrt(np.atleast_1d(values.numpy()))).view(values.shape)
    return values.sqrt()


def vq_argmin(latents: Tensor, codebook: Tensor, metric: str = "euclidean") -> Tensor:
    """Codes (N,) int64 of latents (N, D) in a codebook (V, D), or (G, N) of (G, N, D), (G, V, D).

    `metric` is "euclidean" or "cosine".
    """
    if latents.ndim == 3:
        groups = zip(latents, codebook, strict=True)
        return torch.stack([vq_argmin(rows, words, metric) for rows, words in groups])
    usable = torch.isfinite(codebook).all(dim=1)
    codes = latents.new_full((latents.shape[0],), -1, dtype=torch.int64)
    for n, row in enumerate(latents):
        if not torch.isfinite(row).all() or not usable.any():
            continue
        if metric == "cosine":
            costs = -cosine_scores(row, codebook)
        else:
            costs = squared_distances(row, codebook)
        costs = torch.where(usable, costs, torch.inf)
        codes[n] = torch.nonzero(costs == costs.min())[0, 0]
    return codes


def rvq_encode(
    latents: Tensor,
    codebooks: Tensor,
    num_codebooks: int | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """Codes (N, K) int64 of latents (N, D) in a residual stack of codebooks (K, V, D).

    The codeword is subtracted from the residual by one fp32 subtraction per element. Only the first
    `num_codebooks` stages run. With `strides`, rows are the frames of one clip, and stage k
    searches the mean of every strides[k] frames (`pool`); each frame of the group gets that code,
    and the codeword is subtracted from each frame's own residual.
    """
    stages = len(codebooks) if num_codebooks is None else num_codebooks
    residual = latents.clone()
    codes = latents.new_full((latents.shape[0], stages), -1, dtype=torch.int64)
    for k in range(stages):
        stride = 1 if strides is None else strides[k]
        pooled_codes = vq_argmin(pool(residual, stride), codebooks[k])
        codes[:, k] = pooled_codes.repeat_interleave(stride)[: len(residual)]
        for n in range(len(residual)):
            code = codes[n, k]
            residual[n] = residual[n] - codebooks[k, code] if code >= 0 else torch.nan
    return codes


def rvq_encode_from(latents: Tensor, codebooks: Tensor, first: Tensor) -> Tensor:
    """Codes (N, K) int64: row n is searched in the stages from first[n] on; -1 before them."""
    codes = latents.new_full((len(latents), len(codebooks)), -1, dtype=torch.int64)
    for n, start in enumerate(first.tolist()):
        codes[n, start:] = rvq_encode(latents[n : n + 1], codebooks[start:])[0]
    return codes


def pool(frames: Tensor, stride: int) -> Tensor:
    """Means (ceil(N / stride), D) fp32 of every `stride` frames (N, D); the last group is shorter.

    In fp32: frames are added in order, then one division by their number.
    """
    means = []
    for group in frames.split(stride) if len(frames) else ():
        total = group[0].clone()
        for frame in group[1:]:
            total = total + frame
        means.append(total / len(group))
    return torch.stack(means) if means else frames.clone()


def rvq_decode(codes: Tensor, codebooks: Tensor) -> Tensor:
    """Sums (N, D) fp32 of the codewords of codes (N, K) in the first K of codebooks (>= K, V, D).

    Added in fp32 in the order of the stages, starting with the first. A row with a code -1 becomes
    NaN; any other code outside of 0 to V - 1 is an error (on a GPU it gives NaN too, because an
    error would need a synchronisation).
    """
    decoded = codebooks.new_full((codes.shape[0], codebooks.shape[2]), torch.nan)
    for n, row in enumerate(codes.tolist()):
        if min(row) < 0:
            continue
        total = codebooks[0, row[0]].clone()
        for k in range(1, len(row)):
            total = total + codebooks[k, row[k]]
        decoded[n] = total
    return decoded


def code_statistics(latents: Tensor, codes: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    """The number of codes (N,) of each codeword, (V,) fp32, and the sum of their latents (V, D).

    Sums are added up in fp64 in the order of the rows and rounded to fp32 once. Code -1 is ignored.
    """
    counts = latents.new_zeros(codebook_size)
    sums = latents.new_zeros(codebook_size, latents.shape[1], dtype=torch.float64)
    for row, code in zip(latents, codes.tolist(), strict=True):
        if code >= 0:
            counts[code] += 1
            sums[code] += row.double()
    return counts, sums.float()


def ema_update(
    codebook: Tensor,
    counts: Tensor,
    sums: Tensor,
    latents: Tensor,
    codes: Tensor,
    *,
    decay: float,
    epsilon: float = 1e-5,
    dead_threshold: float = 0.0,
    generator: torch.Generator | None = None,
) -> None:
    """Move a codebook (V, D) by exponential moving averages (arXiv 1711.00937, A.1), in place.

    `counts` (V,) and `sums` (V, D) are the moving averages of `code_statistics`, all fp32. The
    codeword is its sum divided by its count after Laplace smoothing with `epsilon`; one whose
    smoothed count is 0 stays where it is. A code whose count falls below `dead_threshold` restarts
    at a random row, a different one for each code, among those with a code, with the count of an
    average code (at least the threshold) and the matching sum. If there are too few rows, the
    remaining dead codes restart later.
    """
    new_counts, new_sums = code_statistics(latents, codes, len(codebook))
    counts.copy_(decay * counts + (1 - decay) * new_counts)
    sums.copy_(decay * sums + (1 - decay) * new_sums)
    if dead_threshold > 0:
        rows = torch.randperm(len(latents), generator=generator, device=latents.device).tolist()
        rows = [row for row in rows if codes[row] >= 0]
        fresh_count = max(len(rows) / len(codebook), dead_threshold)
        dead = torch.nonzero(counts < dead_threshold)[:, 0].tolist()
        for code, row in zip(dead, rows, strict=False):
            counts[code] = fresh_count
            sums[code] = latents[row] * fresh_count
    total = counts.double().sum()
    for code, count in enumerate(counts.double()):
        smoothed = (count + epsilon) / (total + len(codebook) * epsilon) * total
        if smoothed > 0:
            codebook[code] = (sums[code].double() / smoothed).float()


def fsq_encode(latents: Tensor, levels: Sequence[int]) -> Tensor:
    """Codes (N,) int64 by finite scalar quantization (arXiv 2309.15505) of latents (N, D).

    Dimension d is bounded to `levels[d]` values (>= 2) and rounded, half to even, in fp64; the
    first dimension varies fastest in the code. Rows with NaN or infinity get -1.
    """
    codes = latents.new_full((latents.shape[0],), -1, dtype=torch.int64)
    for n, row in enumerate(latents.tolist()):
        if not all(map(math.isfinite, row)):
            continue
        code, basis = 0, 1
        for x, size in zip(row, levels, strict=True):
            half = (size - 1) * 1.001 / 2
            offset = 0.5 if size % 2 == 0 else 0.0
            level = round(math.tanh(x + math.atanh(offset / half)) * half - offset) + size // 2
            code, basis = code + level * basis, basis * size
        codes[n] = code
    return codes


def fsq_decode(codes: Tensor, levels: Sequence[int]) -> Tensor:
    """Vectors (N, D) fp32 in [-1, 1] of FSQ codes (N,); -1 gives NaN."""
    rows = torch.full((len(codes), len(levels)), torch.nan, device=codes.device)
    for n, code in enumerate(codes.tolist()):
        for d, size in enumerate(levels):
            if codes[n] >= 0:
                rows[n, d] = (code % size - size // 2) / (size // 2)
                code //= size
    return rows


def lfq_encode(latents: Tensor) -> Tensor:
    """Codes (N,) int64 by the signs of latents (N, D), D <= 62: LFQ, and BSQ, whose norm is free.

    Bit D - 1 - d is 1 where x_d > 0. Rows with NaN or infinity get -1.
    """
    codes = latents.new_full((latents.shape[0],), -1, dtype=torch.int64)
    for n, row in enumerate(latents.tolist()):
        if all(map(math.isfinite, row)):
            codes[n] = sum((x > 0) << (len(row) - 1 - d) for d, x in enumerate(row))
    return codes


def lfq_decode(codes: Tensor, dimension: int, scale: float = 1.0) -> Tensor:
    """Vectors (N, D) fp32 of +-scale (LFQ: 1, BSQ: 1 / sqrt(D)); -1 gives NaN."""
    rows = torch.full((len(codes), dimension), torch.nan, device=codes.device)
    for n, code in enumerate(codes.tolist()):
        for d in range(dimension):
            if code >= 0:
                rows[n, d] = scale if code >> (dimension - 1 - d) & 1 else -scale
    return rows
