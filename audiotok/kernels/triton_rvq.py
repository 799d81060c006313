"""Triton residual quantization: encode in one launch or stage by stage, decode by gathering."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl
from torch import Tensor

from audiotok.kernels.triton_codebooks import STACK_WIDTH, Packed, pack
from audiotok.kernels.triton_stack import encode_stack
from audiotok.kernels.triton_vq import vq_argmin


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
        pooled_codes = vq_argmin(_pool(residual, stride), codebooks[k])
        codes[:, k] = pooled_codes.repeat_interleave(stride)[: len(residual)]
        codewords = codebooks[k][codes[:, k].clamp(min=0)]
        residual = torch.where(codes[:, k, None] >= 0, residual - codewords, torch.nan)
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


def rvq_decode(codes: Tensor, codebooks: Tensor) -> Tensor:
    """Sums (N, D) fp32 of the codewords of codes (N, K) in the first K of codebooks (>= K, V, D).

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
