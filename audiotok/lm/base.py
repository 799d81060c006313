"""LanguageModel, the base class: likelihood and continuation of codes."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from audiotok.lm.sampling import Sampling


class Scored(NamedTuple):
    """The likelihood of codes; both (B, K, T), 0 and False where a code is not free."""

    nats: Tensor  # float32: -ln p of each code given those before it in the model's order
    hits: Tensor  # bool: whether it was the most likely one; all False in training mode


class LanguageModel(nn.Module):
    """A distribution over the codes (B, K, T) of clips, K codebooks of `codebook_sizes`.

    `strides` define the frames in which a codebook has a free code; in the other frames the code is
    repeated and costs nothing. All methods take an optional `condition` (B, M, D), such as embedded
    text, that precedes the codes.
    """

    codebook_sizes: tuple[int, ...]
    strides: tuple[int, ...]

    @abstractmethod
    def forward(self, codes: Tensor, condition: Tensor | None = None) -> Scored:
        """Codes (B, K, T), T > 0; the sum of `nats` is -ln p of the clip."""

    @abstractmethod
    def generate(
        self,
        codes: Tensor,
        frames: int,
        sampling: Sampling | None = None,
        *,
        generator: torch.Generator | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Codes (B, K, T), T may be 0, continued by `frames` frames: (B, K, T + frames)."""

    def loss(self, codes: Tensor, condition: Tensor | None = None) -> Tensor:
        """Mean of -ln p over the free codes of all clips, a scalar."""
        nats = self(codes, condition).nats
        return nats.sum() / self.free(codes.shape[2]).sum() / len(codes)

    def bits(self, codes: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B,) float64: -log2 p of each clip."""
        return self(codes, condition).nats.double().sum((1, 2)) / math.log(2)

    def free(self, num_frames: int) -> Tensor:
        """Which codes are free: (K, T) bool."""
        frames = torch.arange(num_frames)
        return torch.stack([frames % stride == 0 for stride in self.strides])

    @property
    def unit(self) -> int:
        """Frames per step, U: of U frames, only the first can have a free code."""
        return math.gcd(*self.strides)

    @property
    def num_codebooks(self) -> int:
        return len(self.codebook_sizes)

    def repeated(self, codes: Tensor) -> Tensor:
        """Codes (B, K, T) in which only free codes are set, with the repeated codes filled in."""
        frames = torch.arange(codes.shape[2], device=codes.device)
        rows = [codes[:, k, frames - frames % stride] for k, stride in enumerate(self.strides)]
        return torch.stack(rows, 1)
