"""The truth of a codebook search, plainly written: every other path must give these codes.

The code of a row of latents is the lowest index that attains the minimum over the codewords of
sum over d of (x_d - c_kd)^2, computed in fp64 from the fp32 tensors. A row that holds NaN or
infinity gets code -1.
"""

from __future__ import annotations

import torch
from torch import Tensor


def squared_distances(latents: Tensor, codewords: Tensor) -> Tensor:
    """Squared Euclidean distances (...,) in fp64 of two broadcastable (..., D) fp32 tensors."""
    return (latents.double() - codewords.double()).square().sum(dim=-1)


def vq_argmin(latents: Tensor, codebook: Tensor) -> Tensor:
    """Codes (N,) int64 of latents (N, D) in a codebook (V, D), one row at a time."""
    codes = latents.new_full((latents.shape[0],), -1, dtype=torch.int64)
    for row in range(latents.shape[0]):
        if torch.isfinite(latents[row]).all():
            distances = squared_distances(latents[row], codebook)
            codes[row] = torch.nonzero(distances == distances.min())[0, 0]
    return codes
