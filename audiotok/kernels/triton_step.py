"""A streaming step of a residual stack: static shapes, nothing read by the host, capturable.

One frame is too little work for tensor cores and too much for one multiprocessor, so each stage is
a launch over tiles of codewords, in fp64 throughout. The next launch finds the nearest codeword
from all distances, subtracts it from the residual, and continues: K + 1 launches for K stages.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from audiotok.kernels.triton_codebooks import pack, padded_width
from audiotok.kernels.triton_search import scan

CODEWORDS = 16  # per program: 128 programs for a codebook of 2,048


class Step:
    """Codes of one frame for each of B streams, in a residual stack of codebooks (K, V, D).

    Not to be used after the codebooks changed. Exact in the sense of `audiotok.kernels.reference`.
    """

    def __init__(self, codebooks: Tensor, batch: int = 1):
        stages = len(codebooks)
        packed = pack(codebooks)
        self.codebooks = packed.codebooks
        self._half_norms = packed.half_norms  # infinite: never chosen, or a duplicate
        _, size, width = self.codebooks.shape
        device = codebooks.device
        self.latents = torch.zeros(batch, width, device=device)
        self.codes = torch.full((batch, stages), -1, dtype=torch.int64, device=device)
        self._residuals = torch.zeros(stages + 1, batch, width, device=device)
        self._distances = torch.zeros(stages, batch, size, dtype=torch.float64, device=device)
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, latents: Tensor) -> Tensor:
        """Codes (B, K) int64 of latents (B, D) fp32: the same tensor each time, overwritten."""
        self.latents.copy_(latents)
        with torch.cuda.device_of(self.latents):
            if self._graph is None:
                self.launch()
            else:
                self._graph.replay()
        return self.codes

    def launch(self) -> None:
        """From `self.latents` to `self.codes` on the current stream, for a caller's own graph."""
        stages, size, width = self.codebooks.shape
        batch = self.latents.shape[0]
        self._residuals[0].copy_(self.latents)
        for stage in range(stages + 1):
            programs = triton.cdiv(size, CODEWORDS) if stage < stages else 1
            _step[(programs, batch)](
                self.codebooks, self._half_norms, self._residuals, self._distances, self.codes,
                stage, stages, size, self._half_norms.shape[1], width, DP=padded_width(width),
                VP=triton.next_power_of_2(size), BV=CODEWORDS, BS=256, PICK=stage > 0,
                SCORE=stage < stages, num_warps=4, enable_fp_fusion=False,
            )  # fmt: skip

    def capture(self) -> Step:
        """Record the step as a CUDA graph, replayed by later calls."""
        stream = torch.cuda.Stream(self.latents.device)
        stream.wait_stream(torch.cuda.current_stream(self.latents.device))
        with torch.cuda.stream(stream):
            self.launch()  # compiles outside of the capture
        torch.cuda.current_stream(self.latents.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.launch()
        self._graph = graph
        return self


@triton.jit
def _step(
    codebooks, half_norms, residuals, distances, codes, stage, K, V, HP, D, DP: tl.constexpr,
    VP: tl.constexpr, BV: tl.constexpr, BS: tl.constexpr, PICK: tl.constexpr, SCORE: tl.constexpr,
):  # fmt: skip
    """Decides stage - 1 (each program does the same) and scores a tile of codewords of `stage`."""
    stream = tl.program_id(1)
    batch = tl.num_programs(1)
    column = tl.arange(0, DP)
    here = residuals + (stage * batch + stream) * D + column
    if PICK:
        before = here - batch * D
        residual = tl.load(before, mask=column < D, other=0.0)
        index = tl.arange(0, VP)
        measured = tl.load(
            distances + ((stage - 1) * batch + stream) * V + index,
            mask=index < V,
            other=float("inf"),
        )
        smallest = tl.min(measured, axis=0)
        # two orders of summing D squares in fp64 differ by less
        limit = smallest + (D + 8) * 8.881784197001252e-16 * smallest
        near = (measured <= limit) & (measured < float("inf"))
        codebook = codebooks + (stage - 1) * V * D
        code = tl.full((), -1, tl.int32)
        if tl.sum(tl.where(tl.abs(residual) < float("inf"), 0, 1), axis=0) == 0:
            code = tl.min(tl.where(near, index, VP), axis=0)
            if tl.sum(near.to(tl.int32), axis=0) != 1:
                code = scan(residual, codebook, V, D, DP, BS, False)
        codeword = tl.load(codebook + code * D + column, mask=(code >= 0) & (column < D), other=0.0)
        residual = tl.where(code >= 0, residual - codeword, float("nan"))
        residual = tl.where(column < D, residual, 0.0)
        if tl.program_id(0) == 0:
            tl.store(here, residual, mask=column < D)
            tl.store(codes + stream * K + stage - 1, code.to(tl.int64))
    else:
        residual = tl.load(here, mask=column < D, other=0.0)
    if SCORE:
        lane = tl.program_id(0) * BV + tl.arange(0, BV)
        words = codebooks + (stage * V + lane)[:, None] * D + column[None, :]
        word = tl.load(words, mask=(lane < V)[:, None] & (column < D)[None, :], other=0.0)
        difference = residual[None, :].to(tl.float64) - word.to(tl.float64)
        total = tl.sum(difference * difference, axis=1)
        usable = tl.load(half_norms + stage * HP + lane) < float("inf")
        total = tl.where(usable & (total == total), total, float("inf"))
        tl.store(distances + (stage * batch + stream) * V + lane, total, mask=lane < V)
