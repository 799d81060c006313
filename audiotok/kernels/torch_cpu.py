"""Exact codebook search in plain PyTorch: a certified fp32 prefilter, then fp64 near ties.

The fp32 scores 1/2 ||c||^2 - x.c of a block of rows come from one matrix product, with the mean
codeword taken off both sides so that they stay small. Their error is bounded, so every codeword
that could be the true winner lies within twice that bound of the smallest score. Rows with one
such codeword are done; the others are decided among their candidates by the reference's fp64
distance. Blocks keep the extra memory at a few MiB for any N.
"""

from __future__ import annotations

import torch
from torch import Tensor

from audiotok.kernels import reference

_BLOCK_SCORES = 1 << 20  # scores held at once: 4 MiB
_PAIR_BLOCK = 1 << 19  # fp64 elements per re-scored block: 4 MiB
_UNIT_ROUNDOFF = 2.0**-24


def vq_argmin(latents: Tensor, codebook: Tensor) -> Tensor:
    """Codes (N,) int64: for each row of latents (N, D) the nearest row of the codebook (V, D).

    Both float32. Exact in the sense of `audiotok.kernels.reference`: ties go to the lowest index,
    rows with NaN or infinity get -1.

    Raises:
        ValueError: shapes or dtypes do not fit, or the codebook is empty.
    """
    _check(latents, codebook)
    latents, codebook = latents.detach(), codebook.detach()
    centre = codebook.mean(dim=0)
    centred = codebook - centre
    half_norms = centred.square().sum(dim=1) / 2
    codes = torch.empty(latents.shape[0], dtype=torch.int64, device=latents.device)
    block = max(1, _BLOCK_SCORES // codebook.shape[0])
    for start in range(0, latents.shape[0], block):
        rows = latents[start : start + block]
        scores = torch.addmm(half_norms, rows - centre, centred.T, alpha=-1)
        bound = _error_bound(rows - centre, centred)
        codes[start : start + block] = _decide(rows, codebook, scores, bound)
    return codes


def _error_bound(rows: Tensor, codebook: Tensor) -> Tensor:
    """Bounds (N,) on |fp32 score - true score|: (D + 2) u (|x| |c| + |c|^2 / 2), and some slack.

    The slack covers the rounding of the norms and of the centring (each within u of its result);
    the absolute term covers sums of denormals.
    """
    largest = codebook.norm(dim=1).max()
    scale = rows.norm(dim=1) * largest + largest.square() / 2
    return (rows.shape[1] + 16) * _UNIT_ROUNDOFF * scale + 1e-38


def _decide(rows: Tensor, codebook: Tensor, scores: Tensor, bound: Tensor) -> Tensor:
    best, codes = scores.min(dim=1)
    finite = torch.isfinite(rows).all(dim=1)
    # an overflowing score or bound certifies nothing: such rows keep every codeword as a candidate
    trusted = torch.isfinite(bound) & torch.isfinite(scores).all(dim=1)
    near = scores <= (best + 2 * bound)[:, None]
    near |= ~trusted[:, None]
    unsure = finite & (near.sum(dim=1) > 1)
    if unsure.any():
        codes[unsure] = _rescore(rows[unsure], codebook, near[unsure])
    return torch.where(finite, codes, -1)


def _rescore(rows: Tensor, codebook: Tensor, candidates: Tensor) -> Tensor:
    """The lowest index at the smallest fp64 distance, among each row's candidates (R, V) bool."""
    row, code = candidates.nonzero(as_tuple=True)
    pairs = max(1, _PAIR_BLOCK // rows.shape[1])
    distances = torch.cat(
        [
            reference.squared_distances(rows[r], codebook[k])
            for r, k in zip(row.split(pairs), code.split(pairs), strict=True)
        ]
    )
    smallest = torch.full((rows.shape[0],), torch.inf, dtype=torch.float64, device=rows.device)
    smallest.scatter_reduce_(0, row, distances, "amin")
    winners = distances == smallest[row]
    codes = torch.full_like(smallest, codebook.shape[0], dtype=torch.int64)
    return codes.scatter_reduce_(0, row[winners], code[winners], "amin")


def _check(latents: Tensor, codebook: Tensor) -> None:
    if latents.ndim != 2 or codebook.ndim != 2 or latents.shape[1] != codebook.shape[1]:
        raise ValueError(
            f"latents {tuple(latents.shape)} and codebook {tuple(codebook.shape)} do not fit: "
            "expected (N, D) and (V, D)"
        )
    if latents.dtype != torch.float32 or codebook.dtype != torch.float32:
        raise ValueError(
            f"latents are {latents.dtype}, codebook is {codebook.dtype}: expected torch.float32"
        )
    if codebook.shape[0] == 0:
        raise ValueError("the codebook is empty: expected at least one codeword")
