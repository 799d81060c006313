"""RQLM: a transformer over frames, and a small one over the codebooks of each frame.

Lee et al. 2022 (RQ-Transformer), arXiv 2203.01941; Défossez et al. 2024 (Moshi), arXiv 2410.00037,
section 3.4.2. The temporal transformer sees the sum of a frame's embeddings; its output starts the
depth transformer, which predicts the codes of the next frame one after another. Frames without a
free code in any codebook are left out.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.lm.base import LanguageModel, Scored
from audiotok.lm.sampling import Sampling
from audiotok.lm.transformer import Cache, Transformer


class RQLMConfig(BaseModel):
    """Sizes of both transformers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codebook_sizes: tuple[int, ...]
    strides: tuple[int, ...] = ()  # (): every codebook is free in every frame
    dimension: int = Field(256, gt=0)
    heads: int = Field(4, gt=0)
    layers: int = Field(6, gt=0)
    depth_dimension: int = Field(128, gt=0)
    depth_heads: int = Field(4, gt=0)
    depth_layers: int = Field(2, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)


class RQLM(LanguageModel):
    """Likelihood of codes (B, K, T), frame by frame, and codebook by codebook in a frame."""

    def __init__(self, config: RQLMConfig):
        super().__init__()
        self.config = config
        self.codebook_sizes = config.codebook_sizes
        self.strides = config.strides or (1,) * len(config.codebook_sizes)
        width, depth = config.dimension, config.depth_dimension
        sizes = self.codebook_sizes
        self.embeddings = nn.ModuleList(nn.Embedding(v, width) for v in sizes)
        self.start = nn.Parameter(torch.zeros(width))
        self.temporal = Transformer(width, config.heads, config.layers, config.dropout)
        self.bridge = nn.Linear(width, depth, bias=False)
        self.depth_embeddings = nn.ModuleList(nn.Embedding(v, depth) for v in sizes[:-1])
        self.places = nn.Parameter(torch.zeros(len(sizes), depth))
        self.depth = Transformer(depth, config.depth_heads, config.depth_layers, config.dropout)
        self.heads = nn.ModuleList(nn.Linear(depth, v, bias=False) for v in sizes)
        for table in (*self.embeddings, *self.depth_embeddings, *self.heads, self.bridge):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, codes: Tensor, condition: Tensor | None = None) -> Scored:
        step_codes, num_frames = codes[:, :, :: self.unit], codes.shape[2]
        batch, _, steps = step_codes.shape
        hidden = self.temporal(self._frames(step_codes, condition))[:, -steps:]
        rows = step_codes.transpose(1, 2).flatten(0, 1)  # (B * steps, K)
        inputs = [self.bridge(hidden).flatten(0, 1)]
        inputs += [table(rows[:, k]) for k, table in enumerate(self.depth_embeddings)]
        depth = self.depth(torch.stack(inputs, 1) + self.places)
        logits = [head(depth[:, k]).float() for k, head in enumerate(self.heads)]
        costs = [
            F.cross_entropy(scores, rows[:, k], reduction="none") for k, scores in enumerate(logits)
        ]
        hits = [
            torch.zeros_like(rows[:, k], dtype=torch.bool)
            if self.training
            else scores.argmax(-1) == rows[:, k]
            for k, scores in enumerate(logits)
        ]
        free = self.free(num_frames).to(codes.device)

        def by_frame(columns: list[Tensor]) -> Tensor:
            """Values (B * steps,) of each codebook -> (B, K, T), 0 where a code is not free."""
            values = torch.stack(columns, 1).view(batch, steps, -1).transpose(1, 2)
            return values.repeat_interleave(self.unit, 2)[:, :, :num_frames] * free

        return Scored(by_frame(costs), by_frame(hits))

    @torch.no_grad()
    def generate(
        self,
        codes: Tensor,
        frames: int,
        sampling: Sampling | None = None,
        *,
        generator: torch.Generator | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        unit, prompt_frames = self.unit, codes.shape[2]
        sampling, cache = sampling or Sampling(), Cache()
        codes = F.pad(codes, (0, frames))
        for t in range(-(-prompt_frames // unit) * unit, prompt_frames + frames, unit):
            inputs = self._frames(codes[:, :, : t + 1 : unit], condition)[:, cache.length :]
            hidden = self.bridge(self.temporal(inputs, cache)[:, -1])
            inner = Cache()
            for k, head in enumerate(self.heads):
                if k:
                    hidden = self.depth_embeddings[k - 1](codes[:, k - 1, t])
                depth = self.depth((hidden + self.places[k])[:, None], inner)[:, 0]
                if t % self.strides[k]:
                    codes[:, k, t] = codes[:, k, t - unit]
                else:
                    past = codes[:, k, : t : self.strides[k]]
                    codes[:, k, t] = sampling.sample(head(depth), past, generator)
        return self.repeated(codes)

    def _frames(self, codes: Tensor, condition: Tensor | None) -> Tensor:
        """The inputs, (B, M + T, D): for each frame the sum of the embeddings of the previous
        one."""
        embedded = sum(table(codes[:, k, :-1]) for k, table in enumerate(self.embeddings))
        first = self.start.expand(len(codes), 1, -1).to(embedded.dtype)
        inputs = torch.cat([first, embedded], 1)
        return inputs if condition is None else torch.cat([condition, inputs], 1)
