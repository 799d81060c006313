"""Exact codebook search in plain PyTorch: a certified fp32 prefilter, then fp64 near ties.

The fp32 scores of a block of rows come from one matrix product: 1/2 ||c||^2 - x.c, with the mean
codeword subtracted from both so that they stay small, or -x.c/||c|| for cosine search. Their
error is bounded, so every codeword that could be the nearest one lies within twice that bound of
the smallest score. Rows with one such codeword are done; for the others the reference's fp64 cost
decides among the candidates. Blocks keep the extra memory at a few MiB for any N.

Used if the compiled path is not available; runs on any device. `dispatch` has checked the
arguments.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from audiotok.kernels import reference

_BLOCK_SCORES = 1 << 18  # scores held at once: 1 MiB
_BLOCK_ELEMENTS = 1 << 18  # residual elements held at once: 1 MiB
_PAIR_BLOCK = 1 << 17  # fp64 elements per re-scored block: 1 MiB
_UNIT_ROUNDOFF = 2.0**-24
_UNDERFLOW = 2.0**-125  # what a product may lose where denormals are flushed
_LARGEST = 1e37  # scores beyond it may have overflowed


def vq_argmin(latents: Tensor, codebook: Tensor, metric: str = "euclidean") -> Tensor:
    """As `reference.vq_argmin`."""
    if latents.ndim == 3:
        groups = zip(latents, codebook, strict=True)
        return torch.stack([vq_argmin(rows, words, metric) for rows, words in groups])
    with _plain_fp32(latents.device):
        search = _Search(codebook, metric)
        block = max(1, _BLOCK_SCORES // codebook.shape[0])
        codes = latents.new_empty(latents.shape[0], dtype=torch.int64)
        for rows, out in zip(latents.split(block), codes.split(block), strict=True):
            out.copy_(search(rows))
        return codes


def rvq_encode(
    latents: Tensor, codebooks: Tensor, num_codebooks: int, strides: Sequence[int] | None
) -> Tensor:
    """As `reference.rvq_encode`."""
    strides = (strides or [1] * num_codebooks)[:num_codebooks]
    period = math.lcm(*strides)
    block = max(1, _BLOCK_ELEMENTS // max(1, latents.shape[1]) // period) * period
    codes = latents.new_empty((latents.shape[0], num_codebooks), dtype=torch.int64)
    for rows, out in zip(latents.split(block), codes.split(block), strict=True):
        residual = rows.clone()
        for k, stride in enumerate(strides):
            stage_codes = vq_argmin(_pool(residual, stride), codebooks[k])
            stage_codes = stage_codes.repeat_interleave(stride)[: len(rows)]
            out[:, k] = stage_codes
            residual -= codebooks[k][stage_codes.clamp(min=0)]
            residual.masked_fill_(stage_codes[:, None] < 0, torch.nan)
    return codes


def _pool(frames: Tensor, stride: int) -> Tensor:
    """As `reference.pool`."""
    if stride == 1:
        return frames
    whole = len(frames) // stride * stride
    parts = [frames[:whole].view(-1, stride, frames.shape[1]), frames[None, whole:]]
    means = []
    for part in parts:
        if part.shape[0] and part.shape[1]:
            total = part[:, 0].clone()
            for frame in part.unbind(1)[1:]:
                total += frame
            means.append(total / part.shape[1])
    return torch.cat(means) if means else frames


def rvq_decode(codes: Tensor, codebooks: Tensor) -> Tensor:
    """As `reference.rvq_decode`."""
    bad = (codes < 0) | (codes >= codebooks.shape[1])
    if codes.device.type == "cpu" and (bad & (codes != -1)).any():
        raise ValueError("a code is out of range: expected -1 or 0 to codebook size - 1")
    safe = codes.masked_fill(bad, 0)
    decoded = codebooks[0][safe[:, 0]]
    for k in range(1, codes.shape[1]):
        decoded += codebooks[k][safe[:, k]]
    return decoded.masked_fill_(bad.any(dim=1, keepdim=True), torch.nan)


def code_statistics(latents: Tensor, codes: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    """As `reference.code_statistics`."""
    if codes.device.type == "cpu" and ((codes < -1) | (codes >= codebook_size)).any():
        raise ValueError("a code is out of range: expected -1 or 0 to codebook size - 1")
    targets = torch.where(codes < 0, codebook_size, codes)  # the last row is dropped
    shape = codebook_size + 1, latents.shape[1]
    sums = torch.zeros(shape, dtype=torch.float64, device=latents.device)
    counts = torch.zeros(shape[0], dtype=torch.float64, device=latents.device)
    counts.index_add_(0, targets, torch.ones_like(targets, dtype=torch.float64))
    block = max(1, _BLOCK_ELEMENTS // max(1, latents.shape[1]))
    for rows, indices in zip(latents.split(block), targets.split(block), strict=True):
        sums.index_add_(0, indices, rows.double())
    return counts[:-1].float(), sums[:-1].float()


class _Search:
    """A codebook (V, D) prepared for the prefilter; called on rows (R, D) it gives codes (R,)."""

    def __init__(self, codebook: Tensor, metric: str):
        self.codebook, self.cosine = codebook, metric == "cosine"
        self.usable = torch.isfinite(codebook).all(dim=1)
        words = codebook.masked_fill(~self.usable[:, None], 0)
        if self.cosine:
            exact = words.double()
            norms = exact.square().sum(dim=1, keepdim=True).sqrt()
            self.words = torch.where(norms > 0, exact / norms, exact).float()
            self.centre = self.words.new_zeros(words.shape[1])
            offsets = self.words.new_zeros(len(words))
            self.lengths = self.words.new_ones(len(words))
        else:
            self.centre = words.sum(dim=0) / self.usable.sum().clamp(min=1)
            self.words = words - self.centre
            offsets = self.words.square().sum(dim=1) / 2
            self.lengths = self.words.norm(dim=1)
        self.offsets = offsets.masked_fill(~self.usable, torch.inf)

    def __call__(self, rows: Tensor) -> Tensor:
        centred = rows - self.centre
        scores = torch.addmm(self.offsets, centred, self.words.T, alpha=-1)
        bound = self._error_bound(centred, self.lengths.max(dim=0, keepdim=True).values)[:, 0]
        best, codes = scores.min(dim=1)
        finite = torch.isfinite(rows).all(dim=1) & self.usable.any()
        near = scores <= (best + 2 * bound)[:, None]
        # if a score or bound overflows, every codeword stays a candidate
        overflow = ~(torch.isfinite(bound) & torch.isfinite(best))
        near |= overflow[:, None]
        near &= self.usable
        unsure = finite & (overflow | (near.sum(dim=1) > 1))
        if unsure.any():
            nearest = self._nearest(scores[unsure], centred[unsure]) | overflow[unsure, None]
            codes[unsure] = self._rescore(rows[unsure], near[unsure] & nearest)
        return torch.where(finite, codes, -1)

    def _nearest(self, scores: Tensor, rows: Tensor) -> Tensor:
        """The codewords (R, V) bool that can be the nearest one, by a bound for each of them.

        With one bound for all, that of the longest codeword, every short codeword is a candidate
        of every short row. Residuals of silence are short rows, so there may be many.
        """
        bounds = self._error_bound(rows, self.lengths)
        return scores - bounds <= (scores + bounds).min(dim=1, keepdim=True).values

    def _error_bound(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Bounds (R, L) on |fp32 score - true score| of codewords of `lengths` (L,):
        (D + 16) u (|x| |c| + |c|^2), and underflow.

        16 covers the rounding of the norms, of the centring (each within u of its result), and of
        sums of scores and bounds.
        """
        units = 1.02 * (rows.shape[1] + 16) * _UNIT_ROUNDOFF
        # add what a norm may lose by squares that underflow
        norms = rows.norm(dim=1) + math.sqrt(rows.shape[1] * _UNDERFLOW)
        scale = norms[:, None] * lengths
        if not self.cosine:
            scale = scale + lengths.square()
        bound = units * scale + rows.shape[1] * _UNDERFLOW
        trusted = (scale < _LARGEST) if units < 0.02 else torch.zeros_like(scale, dtype=torch.bool)
        return torch.where(trusted, bound, torch.inf)

    def _rescore(self, rows: Tensor, candidates: Tensor) -> Tensor:
        """The lowest index at the smallest fp64 cost, among each row's candidates (R, V) bool."""
        row, code = candidates.nonzero(as_tuple=True)
        pairs = max(1, _PAIR_BLOCK // max(1, rows.shape[1]))
        costs = torch.cat(
            [
                self._cost(rows[r], self.codebook[k])
                for r, k in zip(row.split(pairs), code.split(pairs), strict=True)
            ]
        )
        smallest = costs.new_full((rows.shape[0],), torch.inf)
        smallest.scatter_reduce_(0, row, costs, "amin")
        winners = costs == smallest[row]
        codes = torch.full_like(smallest, self.codebook.shape[0], dtype=torch.int64)
        return codes.scatter_reduce_(0, row[winners], code[winners], "amin")

    def _cost(self, rows: Tensor, words: Tensor) -> Tensor:
        if self.cosine:
            return -reference.cosine_scores(rows, words)
        return reference.squared_distances(rows, words)


@contextmanager
def _plain_fp32(device: torch.device) -> Iterator[None]:
    """Matrix products in full fp32, regardless of the caller's autocast and precision settings."""
    backends = [torch.backends.mkldnn.matmul, torch.backends.cuda.matmul]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.fp32_precision = value
