"""Triton kernels for training: code statistics, and a straight-through pass with statistics.

Statistics sort the codes (stable) and add up each code's latents in the order of the rows in fp64:
no one-hot matrix, no floating-point atomics, the same bits every time. The forward pass gathers
codewords, sums the error and counts codes (integers) in one launch; backward is one launch.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from audiotok.kernels.straight_through import VQResult
from audiotok.kernels.triton_rvq import padded_columns
from audiotok.kernels.triton_vq import vq_argmin


def code_statistics(latents: Tensor, codes: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    """The number of codes (N,) of each codeword, (V,) fp32, and the sum of their latents (V, D).

    Sums are added up in fp64 in the order of the rows and rounded to fp32 once. Code -1 is ignored.
    """
    latents = latents.detach().contiguous()
    width = latents.shape[1]
    counts = torch.zeros(codebook_size, dtype=torch.float32, device=latents.device)
    sums = torch.zeros(codebook_size, width, device=latents.device)
    ordered, order = codes.sort(stable=True)
    offsets = torch.searchsorted(ordered, torch.arange(codebook_size + 1, device=codes.device))
    columns = min(128, padded_columns(width))
    _segment_sums[(codebook_size, max(1, triton.cdiv(width, columns)))](
        latents, order, offsets, counts, sums, width, BD=columns,
        num_warps=max(1, columns // 32), enable_fp_fusion=False,
    )  # fmt: skip
    return counts, sums


@triton.jit
def _segment_sums(latents, order, offsets, counts, sums, D, BD: tl.constexpr):
    code = tl.program_id(0)
    column = tl.program_id(1) * BD + tl.arange(0, BD)
    start = tl.load(offsets + code)
    end = tl.load(offsets + code + 1)
    total = tl.zeros((BD,), tl.float64)
    for place in range(start, end):
        row = tl.load(order + place)
        total += tl.load(latents + row * D + column, mask=column < D, other=0.0).to(tl.float64)
    tl.store(sums + code.to(tl.int64) * D + column, total.to(tl.float32), mask=column < D)
    if tl.program_id(1) == 0:
        tl.store(counts + code, (end - start).to(tl.float32))


def vq_straight_through(
    latents: Tensor, codebook: Tensor, metric: str = "euclidean", statistics: bool = False
) -> VQResult:
    """Quantize latents (N, D) by a codebook (V, D) with a gradient for the latents, in one pass.

    With `statistics` all fields are set; the host reads nothing. Rows with code -1 become NaN.
    """
    quantized, codes, commitment, counts, energy = _StraightThrough.apply(latents, codebook, metric)
    if not statistics:
        return VQResult(quantized, codes, commitment)
    share = counts.double() / counts.sum()
    return VQResult(
        quantized,
        codes,
        commitment,
        usage=(counts > 0).double().mean(),
        perplexity=torch.special.entr(share).sum().exp(),
        quantization_error=commitment.detach().double() * latents.numel() / energy,
    )


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, latents: Tensor, codebook: Tensor, metric: str):
        rows, words = latents.detach().contiguous(), codebook.detach().contiguous()
        codes = vq_argmin(rows, words, metric)
        quantized = torch.empty_like(rows)
        counts = torch.zeros(len(words), dtype=torch.int32, device=rows.device)
        programs = triton.cdiv(len(rows), 32)
        sums = torch.zeros(2, programs, dtype=torch.float64, device=rows.device)
        if quantized.numel():
            _gather[(programs,)](
                rows, words, codes, quantized, counts, sums[0], sums[1], len(rows), rows.shape[1],
                BN=32, BD=min(128, padded_columns(rows.shape[1])), num_warps=4,
                enable_fp_fusion=False,
            )  # fmt: skip
        error, energy = sums.sum(dim=1)
        ctx.save_for_backward(rows, quantized)
        ctx.mark_non_differentiable(codes, counts, energy)
        return quantized, codes, (error / quantized.numel()).float(), counts, energy

    @staticmethod
    def backward(ctx, grad_quantized: Tensor, grad_codes, grad_commitment: Tensor, *unused):
        rows, quantized = ctx.saved_tensors
        gradient = torch.empty_like(rows)
        if rows.numel():
            _backward[(triton.cdiv(rows.numel(), 1024),)](
                rows, quantized, grad_quantized.contiguous(), grad_commitment.contiguous(),
                gradient, 2.0 / rows.numel(), rows.numel(), BLOCK=1024, num_warps=4,
                enable_fp_fusion=False,
            )  # fmt: skip
        return gradient, None, None


@triton.jit
def _gather(
    latents, codebook, codes, quantized, counts, errors, energies, N, D, BN: tl.constexpr,
    BD: tl.constexpr,
):  # fmt: skip
    """Codewords of a tile of rows, its sums of (x - c)^2 and x^2 in fp64, and counts of codes."""
    row = (tl.program_id(0) * BN + tl.arange(0, BN)).to(tl.int64)
    code = tl.load(codes + row, mask=row < N, other=-1)
    tl.atomic_add(counts + code, 1, mask=code >= 0)
    error = tl.zeros((BN,), tl.float64)
    energy = tl.zeros((BN,), tl.float64)
    for start in range(0, D, BD):
        column = start + tl.arange(0, BD)
        inside = (row < N)[:, None] & (column < D)[None, :]
        x = tl.load(latents + row[:, None] * D + column[None, :], mask=inside, other=0.0)
        word = codebook + code[:, None] * D + column[None, :]
        q = tl.load(word, mask=inside & (code >= 0)[:, None], other=float("nan"))
        tl.store(quantized + row[:, None] * D + column[None, :], q, mask=inside)
        wide = x.to(tl.float64)
        difference = tl.where(inside, wide - q.to(tl.float64), 0.0)
        error += tl.sum(difference * difference, axis=1)
        energy += tl.sum(wide * wide, axis=1)
    tl.store(errors + tl.program_id(0), tl.sum(error, axis=0))
    tl.store(energies + tl.program_id(0), tl.sum(energy, axis=0))


@triton.jit
def _backward(
    latents,
    quantized,
    grad_quantized,
    grad_commitment,
    gradient,
    factor,
    count,
    BLOCK: tl.constexpr,
):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < count
    x = tl.load(latents + place, mask=inside)
    q = tl.load(quantized + place, mask=inside)
    straight = tl.load(grad_quantized + place, mask=inside)
    scale = tl.load(grad_commitment) * factor
    tl.store(gradient + place, straight + scale * (x - q), mask=inside)
