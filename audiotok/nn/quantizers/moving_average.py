"""How Euclidean codebooks learn without gradients: k-means, then moving averages.

Exponential moving averages with Laplace smoothing: van den Oord et al. 2017, arXiv 1711.00937,
appendix A.1. In the official code of EnCodec and WavTokenizer the revival of dead codes is
overwritten by the update of the same step; here it lasts.
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
    """Learns the codebooks (K, V, D) of a plain, a residual or a grouped quantizer.

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
        self._quantizer = [quantizer]  # not a submodule: its weights are its own
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
        """Start by k-means on latents (B, D, T), codebook after codebook.

        An update will see `rows_per_step` frames. At least V frames are needed.
        """
        quantizer = self._quantizer[0]
        for k, codebook in enumerate(quantizer.codebooks):
            searched = quantizer.searched(latents, quantizer.encode(latents))
            rows, _ = next(islice(searched, k, None))
            codebook.copy_(k_means(rows, len(codebook), iterations, generator))
            share = len(rows) / (latents.shape[0] * latents.shape[2])  # less where codes are slower
            self.counts[k] = rows_per_step * share / len(codebook)
        self.sums.copy_(quantizer.codebooks * self.counts[..., None])

    @torch.no_grad()
    def adopt(self, rows_per_step: int) -> None:
        """Go on from the codebooks as they are, as if all their codewords were used alike."""
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
        """Move the codebooks towards latents (B, D, T) that have the codes (B, K', T), K' <= K.

        `processes` and equal generators teach the same codebooks in all of them, as `ema_update`
        says.
        """
        everywhere = 1 if processes is None else processes.count
        quantizer = self._quantizer[0]
        for k, (rows, found) in enumerate(quantizer.searched(latents, codes)):
            ema_update(
                quantizer.codebooks[k],
                self.counts[k],
                self.sums[k],
                rows,
                found,
                decay=self.decay,
                epsilon=self.epsilon,
                dead_threshold=self.dead_ratio * len(rows) * everywhere / self.counts.shape[1],
                generator=generator,
                processes=processes,
            )


def k_means(
    rows: Tensor, size: int, iterations: int, generator: torch.Generator | None = None
) -> Tensor:
    """Centres (size, D) of rows (N, D), N >= size, from random rows; an empty one stays."""
    if len(rows) < size:
        raise ValueError(
            f"{len(rows)} latents cannot start a codebook of {size}: "
            "expected at least one per codeword"
        )
    order = torch.randperm(len(rows), generator=generator, device=rows.device)
    centres = rows[order[:size]].clone()
    for _ in range(iterations):
        counts, sums = code_statistics(rows, vq_argmin(rows, centres), size)
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None], centres)
    return centres
