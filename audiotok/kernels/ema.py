"""Codebook updates by moving averages of code statistics, without a one-hot matrix."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from audiotok.kernels.dispatch import code_statistics


class Processes(Protocol):
    """The process group that trains one codebook; each process has equally many latents."""

    rank: int  # of this process
    count: int  # of processes

    def sum(self, tensor: Tensor) -> Tensor:
        """All-reduce: the sum of that tensor over the processes, the same in all of them."""

    def gather(self, tensor: Tensor) -> Tensor:
        """All-gather: the tensors of all processes along the first dimension, in order of rank."""


@torch.no_grad()
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
    processes: Processes | None = None,
) -> None:
    """Move a codebook (V, D) by exponential moving averages (arXiv 1711.00937, A.1), in place.

    `counts` (V,) and `sums` (V, D) are the moving averages of `code_statistics` of the latents
    (N, D) and their codes (N,), all float32. A codeword is its sum divided by its count after
    Laplace smoothing with `epsilon`; one whose smoothed count is 0 stays where it is. A code whose
    count falls below `dead_threshold` restarts at a random row, a different one for each code,
    drawn with `generator` among rows with a code. It gets the count of an average code (at least
    the threshold) and the matching sum, so that it is not dead again at once. If there are too few
    rows, the remaining dead codes restart at a later update.

    With `processes`, counts, sums, and the rows at which dead codes restart are those of the
    latents of all processes. With equal generators all processes get equal codebooks: the same as
    one process with all latents, up to rounding of sums.

    The same inputs give the same bits; nothing is read back from a GPU.

    Raises:
        ValueError: shapes or dtypes do not fit.
    """
    if counts.shape != codebook.shape[:1] or sums.shape != codebook.shape:
        raise ValueError(
            f"counts {tuple(counts.shape)} and sums {tuple(sums.shape)} do not fit a codebook "
            f"{tuple(codebook.shape)}: expected (V,) and (V, D)"
        )
    latents = latents.detach()
    new_counts, new_sums = code_statistics(latents, codes, len(codebook))
    if processes is not None:
        new_counts, new_sums = processes.sum(new_counts), processes.sum(new_sums)
    counts.mul_(decay).add_(new_counts.mul_(1 - decay))
    sums.mul_(decay).add_(new_sums.mul_(1 - decay))
    if dead_threshold > 0 and len(latents):
        _revive(
            counts,
            sums,
            latents,
            codes,
            threshold=dead_threshold,
            generator=generator,
            processes=processes,
        )
    exact = counts.double()
    total = exact.sum()
    smoothed = (exact + epsilon) / (total + len(codebook) * epsilon) * total
    moved = (sums / smoothed[:, None]).float()  # in fp64
    codebook.copy_(torch.where(smoothed[:, None] > 0, moved, codebook))


def _revive(
    counts: Tensor,
    sums: Tensor,
    latents: Tensor,
    codes: Tensor,
    *,
    threshold: float,
    generator: torch.Generator | None,
    processes: Processes | None,
) -> None:
    if processes is not None:
        codes = processes.gather(codes)
    order = torch.randperm(len(codes), generator=generator, device=latents.device)
    order = order[torch.argsort((codes[order] < 0).to(torch.int8), stable=True)]  # coded rows first
    usable = (codes >= 0).sum()
    fresh_count = (usable.double() / len(counts)).clamp(min=threshold).float()
    dead = counts < threshold
    rank = dead.cumsum(0) - 1  # the index of a dead code's row among the shuffled rows
    dead &= rank < usable
    chosen = order[rank.clamp(0, len(codes) - 1)]
    if processes is None:
        rows = latents[chosen]
    else:
        chosen = chosen - processes.rank * len(latents)  # rows of this process: 0 to N
        local = dead & (chosen >= 0) & (chosen < len(latents))
        rows = latents[chosen.clamp(0, len(latents) - 1)]
        rows = processes.sum(torch.where(local[:, None], rows, 0.0))
    counts.copy_(torch.where(dead, fresh_count, counts))
    sums.copy_(torch.where(dead[:, None], rows * fresh_count, sums))
