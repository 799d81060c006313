"""Arrangements: the order in which a language model predicts the codes of a clip.

An arrangement of K codebooks and T frames has P steps of S slots. A slot holds one code of the clip
or is empty. A model predicts all slots of a step at once from the slots of the steps before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

PATTERNS = ("parallel", "delay", "interleaved", "coarse_first")


class Arrangement(NamedTuple):
    """Both (P, S) int64: the codebook of each slot, and its frame; -1 where a slot is empty."""

    codebook: Tensor
    frame: Tensor

    @property
    def filled(self) -> Tensor:
        """(P, S) bool."""
        return self.frame >= 0

    def gather(self, codes: Tensor) -> Tensor:
        """Codes (B, K, T) -> (B, P, S), 0 in empty slots."""
        slots = codes[:, self.codebook, self.frame.clamp(min=0)]
        return slots.masked_fill(~self.filled, 0)

    def scatter(self, values: Tensor, num_codebooks: int, num_frames: int) -> Tensor:
        """Values of slots (B, P, S) -> (B, K, T), 0 where no slot holds the code."""
        codes = values.new_zeros(len(values), num_codebooks, num_frames)
        codes[:, self.codebook[self.filled], self.frame[self.filled]] = values[:, self.filled]
        return codes


def arrange(pattern: str, num_frames: int, strides: Sequence[int]) -> Arrangement:
    """The arrangement of a clip.

    Args:
        pattern: "parallel": step t has frame t of all codebooks. "delay": codebook k is delayed
            by k steps (MusicGen, Copet et al. 2023, arXiv 2306.05284). "interleaved": one code a
            step, frame after frame. "coarse_first": one code a step, codebook after codebook
            (AudioLM's order, Borsos et al. 2022, arXiv 2209.03143, over whole clips).
        num_frames: T.
        strides: of each codebook, the number of frames from one free code to the next. Frames
            without a free code in any codebook get no step: with a common divisor d of all strides,
            "parallel" and "delay" have one step per d frames.
    """
    num_codebooks = len(strides)
    frames = torch.arange(0, num_frames, math.gcd(*strides))
    free = torch.stack([frames % stride == 0 for stride in strides])
    if pattern in ("parallel", "delay"):
        delays = range(num_codebooks) if pattern == "delay" else [0] * num_codebooks
        frame = torch.full((len(frames) + max(delays), num_codebooks), -1)
        for k, delay in enumerate(delays):
            frame[delay : delay + len(frames), k] = torch.where(free[k], frames, -1)
        return Arrangement(torch.arange(num_codebooks).expand_as(frame).contiguous(), frame)
    if pattern == "interleaved":
        step, codebook = free.T.nonzero(as_tuple=True)
    elif pattern == "coarse_first":
        codebook, step = free.nonzero(as_tuple=True)
    else:
        raise ValueError(f"the pattern is one of {', '.join(PATTERNS)}, not {pattern!r}")
    return Arrangement(codebook[:, None], frames[step][:, None])
