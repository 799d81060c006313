"""How Euclidean codebooks learn without gradients: k-means, then moving averages.

Exponential moving averages: van den Oord et al. 2017, arXiv 1711.00937, appendix A.1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiotok.kernels import vq_argmin
from audiotok.nn.quantizers.base import rows_of
from audiotok.nn.quantizers.vq import VectorQuantizer


class CodebookLearner(nn.Module):
    """Learns the codebook of a `VectorQuantizer`: k-means to start, then moving averages.

    Exponential moving averages: van den Oord et al. 2017, arXiv 1711.00937, appendix A.1. A code
    whose moving count falls below `dead_ratio` times that of uniform usage is dead. It restarts at
    a random latent of the batch with the statistics of an average code, so the next update keeps
    it there.
    """

    def __init__(self, quantizer: VectorQuantizer, decay: float = 0.99, dead_ratio: float = 0.05):
        super().__init__()
        self._codebook = quantizer.codebook
        self.decay, self.dead_ratio = decay, dead_ratio
        self.register_buffer("counts", torch.zeros(len(self._codebook)))
        self.register_buffer("sums", torch.zeros_like(self._codebook))

    @torch.no_grad()
    def start(self, latents: Tensor, iterations: int, rows_per_step: int) -> None:
        """Start by k-means on latents (N, D), N >= V; an update will see `rows_per_step`."""
        size = len(self._codebook)
        if len(latents) < size:
            raise ValueError(
                f"{len(latents)} latents cannot start a codebook of {size}: "
                "expected at least one per codeword"
            )
        codebook = latents[torch.randperm(len(latents))[:size]].clone()
        for _ in range(iterations):
            counts, sums = self._statistics(latents, vq_argmin(latents, codebook))
            used = counts > 0
            codebook[used] = sums[used] / counts[used, None]
        self._codebook.copy_(codebook)
        self.counts.fill_(rows_per_step / size)
        self.sums.copy_(codebook * rows_per_step / size)

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor) -> None:
        """Move the codebook towards latents (B, D, T) that have the codes (B, 1, T)."""
        rows = rows_of(latents.detach())
        counts, sums = self._statistics(rows, codes.flatten())
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        average = len(rows) / len(self._codebook)
        dead = (self.counts < self.dead_ratio * average).nonzero()[: len(rows), 0]
        fresh = rows[torch.randperm(len(rows))[: len(dead)]]
        self.counts[dead] = average
        self.sums[dead] = fresh * average
        self._codebook.copy_(self.sums / self.counts[:, None])

    def _statistics(self, rows: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        counts = torch.bincount(codes, minlength=len(self._codebook)).to(rows.dtype)
        return counts, torch.zeros_like(self._codebook).index_add_(0, codes, rows)
