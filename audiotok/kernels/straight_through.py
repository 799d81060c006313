"""Vector quantization for training: search, straight-through gradient and commitment loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from audiotok.kernels.dispatch import (
    check_floats,
    code_statistics,
    function,
    path_for,
    rvq_decode,
    vq_argmin,
)


class VQResult(NamedTuple):
    """The result of `vq_straight_through` for latents (N, D)."""

    quantized: Tensor  # (N, D): exactly the codewords; their gradient goes to the latents
    codes: Tensor  # (N,) int64
    commitment: Tensor  # scalar: mean over elements of (x - c)^2; has a gradient for the latents
    usage: Tensor | None = None  # share of codewords that the batch uses
    perplexity: Tensor | None = None  # exp of the entropy of the batch's codes
    quantization_error: Tensor | None = None  # sum of (x - c)^2 over sum of x^2


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, latents: Tensor, codebook: Tensor, metric: str):
        codes = vq_argmin(latents, codebook, metric)
        quantized = rvq_decode(codes[:, None], codebook[None])
        difference = latents - quantized
        ctx.save_for_backward(difference)
        ctx.mark_non_differentiable(codes)
        return quantized, codes, difference.square().mean()

    @staticmethod
    def backward(ctx, grad_quantized: Tensor, _, grad_commitment: Tensor):
        (difference,) = ctx.saved_tensors
        scale = grad_commitment * (2 / max(1, difference.numel()))
        return torch.addcmul(grad_quantized, difference, scale), None, None


def vq_straight_through(
    latents: Tensor, codebook: Tensor, metric: str = "euclidean", statistics: bool = False
) -> VQResult:
    """Quantize latents (N, D) by a codebook (V, D), float32, with a gradient for the latents.

    Backward is one pass: the gradient of `quantized` plus that of `commitment`. The codebook has no
    gradient: `ema_update` trains it. With `statistics` the last three fields are set too. Rows with
    code -1 become NaN.

    Raises:
        ValueError: as `vq_argmin`.
    """
    if path_for(latents) == "triton":
        check_floats(latents, codebook)
        return function("vq_straight_through", latents)(latents, codebook, metric, statistics)
    quantized, codes, commitment = _StraightThrough.apply(latents, codebook, metric)
    if not statistics:
        return VQResult(quantized, codes, commitment)
    with torch.no_grad():
        counts, _ = code_statistics(latents[:, :0], codes, len(codebook))
        shares = counts.double() / counts.sum()
        energy = latents.detach().double().square().sum()
        error = commitment.detach().double() * latents.numel() / energy
        return VQResult(
            quantized,
            codes,
            commitment,
            usage=(counts > 0).double().mean(),
            perplexity=torch.special.entr(shares).sum().exp(),
            quantization_error=error,
        )
