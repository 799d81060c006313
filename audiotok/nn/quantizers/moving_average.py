"""Training of Euclidean codebooks without gradients: k-means, then moving averages.

Exponential moving averages with Laplace smoothing: van den Oord et al. 2017, arXiv 1711.00937,
appendix A.1. In the official code of EnCodec and WavTokenizer the update of the same step
overwrites restarted codes; here they keep their new values.
"""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor, nn

from audiotok.kernels import Processes, code_statistics, ema_update, vq_argmin
from audiotok.nn.quantizers.grouped import GroupedVectorQuantizer
from audiotok.nn.quantizers.rvq import ResidualVectorQuantizer
from audiotok.nn.quantizers.vq import VectorQuantizer


class MovingAverageLearner(nn.Module):
    """Trains the codebooks (K, V, D) of a plain, a residual or a grouped quantizer.

    A code whose moving count falls below `dead_ratio` times that of uniform usage restarts at a
    random latent of the batch. `decay` and `epsilon` are those of the official EnCodec.
    """

    def __init__(
        self,
        quantizer: VectorQuantizer | ResidualVectorQuantizer | GroupedVectorQuantizer,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        dead_ratio: float = 0.05,
    ):
        super().__init__()
        self._quantizer = [quantizer]  # in a list, so that it is not a submodule
        self.decay, self.epsilon, self.dead_ratio = decay, epsilon, dead_ratio
        self.register_buffer("counts", torch.zeros(quantizer.codebooks.shape[:2]))
        self.register_buffer("sums", torch.zeros_like(quantizer.codebooks))

    @torch.no_grad()
    def start(
        self,
        latents: Tensor,
        iterations: int,
        rows_per_step: int,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialise by k-means on latents (B, D, T), one codebook after another.

        `rows_per_step`: frames of each later update. At least V frames are needed.
        """
        quantizer = self._quantizer[0]
        for k, codebook in enumerate(quantizer.codebooks):
            searched = quantizer.searched(latents, quantizer.encode(latents))
            rows, _ = next(islice(searched, k, None))
            codebook.copy_(k_means(rows, len(codebook), iterations, generator))
            share = len(rows) / (latents.shape[0] * latents.shape[2])  # < 1 for strided codebooks
            self.counts[k] = rows_per_step * share / len(codebook)
        self.sums.copy_(quantizer.codebooks * self.counts[..., None])

    @torch.no_grad()
    def adopt(self, rows_per_step: int) -> None:
        """Continue from the present codebooks, as if all codewords were used equally often."""
        quantizer = self._quantizer[0]
        strides = getattr(quantizer, "strides", (1,) * len(self.counts))
        for counts, stride in zip(self.counts, strides, strict=True):
            counts.fill_(rows_per_step / stride / len(counts))
        self.sums.copy_(quantizer.codebooks * self.counts[..., None])

    @torch.no_grad()
    def update(
        self,
        latents: Tensor,
        codes: Tensor,
        generator: torch.Generator | None = None,
        processes: Processes | None = None,
    ) -> None:
        """Move the codebooks towards latents (B, D, T) with codes (B, K', T), K' <= K.

        With `processes` and equal generators the codebooks stay equal in all processes, see
        `ema_update`.
        """
        world_size = 1 if processes is None else processes.count
        quantizer = self._quantizer[0]
        for k, (rows, row_codes) in enumerate(quantizer.searched(latents, codes)):
            ema_update(
                quantizer.codebooks[k],
                self.counts[k],
                self.sums[k],
                rows,
                row_codes,
                decay=self.decay,
                epsilon=self.epsilon,
                dead_threshold=self.dead_ratio * len(rows) * world_size / self.counts.shape[1],
                generator=generator,
                processes=processes,
            )


def k_means(
    rows: Tensor, size: int, iterations: int, generator: torch.Generator | None = None
) -> Tensor:
    """Centroids (size, D) of rows (N, D), N >= size, initialised by random rows; the centroid of an
    empty cluster does not move."""
    if len(rows) < size:
        raise ValueError(
            f"{len(rows)} latents cannot initialise a codebook of {size}: "
            "expected at least one per codeword"
        )
    order = torch.randperm(len(rows), generator=generator, device=rows.device)
    centres = rows[order[:size]].clone()
    for _ in range(iterations):
        counts, sums = code_statistics(rows, vq_argmin(rows, centres), size)
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None], centres)
    return centres
