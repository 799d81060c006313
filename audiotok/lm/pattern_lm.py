"""PatternLM: one decoder-only transformer over codes in any arrangement.

A step's slots are embedded and summed, as in MusicGen (Copet et al. 2023, arXiv 2306.05284); the
hidden state before a step gives all its slots at once, each by the head of its codebook. With one
slot a step (interleaved, coarse_first) an embedding says whose turn it is.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.lm.arrangement import Arrangement, arrange
from audiotok.lm.base import LanguageModel, Scored
from audiotok.lm.sampling import Sampling
from audiotok.lm.transformer import Cache, Transformer


class PatternLMConfig(BaseModel):
    """Sizes of the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codebook_sizes: tuple[int, ...]
    strides: tuple[int, ...] = ()  # (): every codebook is free in every frame
    pattern: Literal["parallel", "delay", "interleaved", "coarse_first"] = "delay"
    dimension: int = Field(256, gt=0)
    heads: int = Field(4, gt=0)
    layers: int = Field(6, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)


class PatternLM(LanguageModel):
    """Codes (B, K, T) to their likelihood, step after step of the arrangement."""

    def __init__(self, config: PatternLMConfig):
        super().__init__()
        self.config = config
        self.codebook_sizes = config.codebook_sizes
        self.strides = config.strides or (1,) * len(config.codebook_sizes)
        width = config.dimension
        self.embeddings = nn.ModuleList(nn.Embedding(v, width) for v in self.codebook_sizes)
        self.turns = nn.Embedding(self.num_codebooks, width)
        self.start = nn.Parameter(torch.zeros(width))
        self.transformer = Transformer(width, config.heads, config.layers, config.dropout)
        self.heads = nn.ModuleList(nn.Linear(width, v, bias=False) for v in self.codebook_sizes)
        for table in (*self.embeddings, self.turns, *self.heads):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, codes: Tensor, condition: Tensor | None = None) -> Scored:
        plan = self._plan(codes)
        slots = plan.gather(codes)
        hidden = self.transformer(self._inputs(slots, plan, condition))
        hidden = hidden[:, -len(plan.frame) :]
        nats = torch.zeros(slots.shape, device=codes.device)
        hits = torch.zeros_like(slots, dtype=torch.bool)
        for k, head in enumerate(self.heads):
            steps, places = ((plan.codebook == k) & plan.filled).nonzero(as_tuple=True)
            targets = slots[:, steps, places]
            logits = head(hidden[:, steps]).float().flatten(0, 1)
            cost = F.cross_entropy(logits, targets.flatten(), reduction="none")
            nats[:, steps, places] = cost.view_as(targets)
            if not self.training:
                hits[:, steps, places] = logits.argmax(-1).view_as(targets) == targets
        return Scored(*(plan.scatter(found, *codes.shape[1:]) for found in (nats, hits)))

    @torch.no_grad()
    def generate(
        self,
        codes: Tensor,
        frames: int,
        sampling: Sampling | None = None,
        generator: torch.Generator | None = None,
        condition: Tensor | None = None,
    ) -> Tensor:
        given, sampling = codes.shape[2], sampling or Sampling()
        codes = F.pad(codes, (0, frames))
        plan = self._plan(codes)
        cache = Cache()
        for step in range(len(plan.frame)):
            last = slice(max(step - 1, 0), step + 1)  # what enters now is the step before
            now = Arrangement(plan.codebook[last], plan.frame[last])
            entered = self._inputs(now.gather(codes), now, condition)
            hidden = self.transformer(entered[:, -1:] if step else entered, cache)[:, -1]
            for k, t in zip(plan.codebook[step].tolist(), plan.frame[step].tolist(), strict=True):
                if t >= given:  # what the prompt holds stays
                    past = codes[:, k, : t : self.strides[k]]
                    codes[:, k, t] = sampling.sample(self.heads[k](hidden), past, generator)
        return self.repeated(codes)

    def _plan(self, codes: Tensor) -> Arrangement:
        plan = arrange(self.config.pattern, codes.shape[2], self.strides)
        return Arrangement(*(part.to(codes.device) for part in plan))

    def _inputs(self, slots: Tensor, plan: Arrangement, condition: Tensor | None) -> Tensor:
        """What enters before each step: (B, M + P, D), the slots of the step before it."""
        batch, steps, _ = slots.shape
        entered = self.start.new_zeros(batch, steps, len(self.start))
        for k, table in enumerate(self.embeddings):
            where, places = ((plan.codebook == k) & plan.filled)[:-1].nonzero(as_tuple=True)
            entered.index_add_(1, where + 1, table(slots[:, where, places]).to(entered.dtype))
        entered[:, 0] += self.start
        if plan.codebook.shape[1] == 1:
            entered = entered + self.turns(plan.codebook[:, 0])
        return entered if condition is None else torch.cat([condition, entered], 1)
