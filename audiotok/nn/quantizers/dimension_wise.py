"""Post-training quantization of continuous latents, dimension by dimension (TokenBridge).

Wang et al. 2025, arXiv 2503.16430, section 3.2: each dimension is normalised by its mean and
standard deviation. The values of its codebook are the means of a normal distribution, cut at 3
standard deviations, in bins of equal probability; a latent gets the code of the nearest value, as
in the code of the authors. Nothing is trained.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LIMIT = 3.0  # standard deviations


class DimensionWiseQuantizer(nn.Module):
    """D implicit codebooks of V values, one for each dimension of the latents.

    Args:
        mean, std: (D,), of the latents; see `calibrated`.
        levels: V.
    """

    def __init__(self, mean: Tensor, std: Tensor, levels: int):
        super().__init__()
        if levels < 2 or mean.shape != std.shape or mean.ndim != 1:
            raise ValueError(
                f"mean {tuple(mean.shape)}, std {tuple(std.shape)}, {levels} levels: expected two "
                "of shape (D,), and 2 levels or more"
            )
        normal = torch.distributions.Normal(0.0, 1.0)
        edges = normal.icdf(torch.linspace(0, 1, levels + 1)).clamp(-LIMIT, LIMIT).double()
        density, share = normal.log_prob(edges).exp(), normal.cdf(edges)
        values = (density[:-1] - density[1:]) / (share[1:] - share[:-1])
        self.register_buffer("values", values.float())
        self.register_buffer("mean", mean.float()[:, None])
        self.register_buffer("std", std.float().clamp(min=1e-8)[:, None])

    @classmethod
    def calibrated(cls, latents: Tensor, levels: int) -> DimensionWiseQuantizer:
        """The quantizer for latents (D, N) such as these, N frames of many sounds."""
        return cls(latents.mean(1), latents.std(1), levels)

    def encode(self, latents: Tensor) -> Tensor:
        """Latents (B, D, T) -> codes (B, D, T) int64 of the nearest values, -1 where a frame is not
        finite."""
        normalised = (latents - self.mean) / self.std
        codes = torch.bucketize(normalised, (self.values[1:] + self.values[:-1]) / 2)
        return torch.where(latents.isfinite().all(1, keepdim=True), codes, -1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, D, T) -> latents (B, D, T)."""
        return self.values[codes] * self.std + self.mean
