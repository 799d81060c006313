"""PatternLM: one decoder-only transformer over codes in any arrangement.

The embeddings of the slots of a step are summed, as in MusicGen (Copet et al. 2023, arXiv
2306.05284); the hidden state before a step predicts all its slots at once, each with the head of
its codebook. With one slot per step (interleaved, coarse_first) an embedding marks the codebook of
the next slot.
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
    """Likelihood of codes (B, K, T), step by step of the arrangement."""

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
            steps, slot_index = ((plan.codebook == k) & plan.filled).nonzero(as_tuple=True)
            targets = slots[:, steps, slot_index]
            logits = head(hidden[:, steps]).float().flatten(0, 1)
            cost = F.cross_entropy(logits, targets.flatten(), reduction="none")
            nats[:, steps, slot_index] = cost.view_as(targets)
            if not self.training:
                hits[:, steps, slot_index] = logits.argmax(-1).view_as(targets) == targets
        return Scored(*(plan.scatter(values, *codes.shape[1:]) for values in (nats, hits)))

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
        prompt_frames, sampling = codes.shape[2], sampling or Sampling()
        codes = F.pad(codes, (0, frames))
        plan = self._plan(codes)
        cache = Cache()
        for step in range(len(plan.frame)):
            last = slice(max(step - 1, 0), step + 1)  # the input is the previous step
            current = Arrangement(plan.codebook[last], plan.frame[last])
            inputs = self._inputs(current.gather(codes), current, condition)
            hidden = self.transformer(inputs[:, -1:] if step else inputs, cache)[:, -1]
            for k, t in zip(plan.codebook[step].tolist(), plan.frame[step].tolist(), strict=True):
                if t >= prompt_frames:  # codes of the prompt are not changed
                    past = codes[:, k, : t : self.strides[k]]
                    codes[:, k, t] = sampling.sample(self.heads[k](hidden), past, generator)
        return self.repeated(codes)

    def _plan(self, codes: Tensor) -> Arrangement:
        plan = arrange(self.config.pattern, codes.shape[2], self.strides)
        return Arrangement(*(part.to(codes.device) for part in plan))

    def _inputs(self, slots: Tensor, plan: Arrangement, condition: Tensor | None) -> Tensor:
        """The inputs, (B, M + P, D): for each step the slots of the previous step."""
        batch, steps, _ = slots.shape
        inputs = self.start.new_zeros(batch, steps, len(self.start))
        for k, table in enumerate(self.embeddings):
            step_index, slot_index = ((plan.codebook == k) & plan.filled)[:-1].nonzero(
                as_tuple=True
            )
            inputs.index_add_(
                1, step_index + 1, table(slots[:, step_index, slot_index]).to(inputs.dtype)
            )
        inputs[:, 0] += self.start
        if plan.codebook.shape[1] == 1:
            inputs = inputs + self.turns(plan.codebook[:, 0])
        return inputs if condition is None else torch.cat([condition, inputs], 1)
