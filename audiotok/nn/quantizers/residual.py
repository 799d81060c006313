"""Residual quantization: each stage quantizes the residual of the previous stages.

Zeghidour et al. 2021 (SoundStream), arXiv 2107.03312, algorithm 1; its quantizer dropout, section
III-C, as in Kumar et al. 2023 (DAC), arXiv 2306.06546, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from audiotok.nn.quantizers.base import summed
from audiotok.nn.quantizers.strided import pool, repeat

Stage = Callable[[Tensor], NamedTuple]  # latents (b, D, t) to quantized, codes (b, 1, t), losses


def quantize_in_stages(
    stages: Sequence[Stage],
    strides: Sequence[int],
    latents: Tensor,
    kept: Tensor | None = None,
) -> NamedTuple:
    """Run latents (B, D, T) through the stages.

    Args:
        kept: the number of stages, at least 1, for each clip (B,); all if None. Later stages do not
            run on the clip: its codes there are -1, and it adds nothing to their losses.

    Returns:
        The result type of the stages: vectors (B, D, T) and losses summed, codes (B, K, T). The
        vectors of a frame with code -1 are NaN, so it has -1 in all later stages.
    """
    batch, _, num_frames = latents.shape
    codes = torch.full((batch, len(stages), num_frames), -1, device=latents.device)
    total, residual, parts = torch.zeros_like(latents), latents, []
    for index in range(len(stages) if kept is None else int(kept.max())):
        stride, clips = strides[index], slice(None) if kept is None else kept > index
        part = stages[index](pool(residual[clips], stride))
        codes[clips, index] = repeat(part.codes, stride, num_frames)[:, 0]
        vectors = repeat(part.quantized, stride, num_frames)
        if kept is not None:
            share = clips.float().mean()
            part = part._replace(**{name: getattr(part, name) * share for name in part._fields[2:]})
            vectors = torch.zeros_like(latents).index_put((clips,), vectors)
        total, residual = total + vectors, residual - vectors
        parts.append(part)
    return summed(total, codes, parts)


def draw_kept(batch: int, num_codebooks: int, dropout: float) -> Tensor:
    """Number of codebooks for each clip (B,): uniform in 1 to K for the first `dropout * B`."""
    kept = torch.full((batch,), num_codebooks)
    dropped = int(batch * dropout)
    kept[:dropped] = torch.randint(1, num_codebooks + 1, (batch,))[:dropped]
    return kept
