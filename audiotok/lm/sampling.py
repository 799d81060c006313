"""How codes are sampled from the logits of a language model: temperature, top-k, top-p, repetition.

Repetition-aware sampling is that of VALL-E 2 (Chen et al. 2024, arXiv 2406.05370, section 3.2): a
code with too large a share of the last codes is sampled again from the whole distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """One way to sample codes; a temperature of 0 takes the most likely one.

    Attributes:
        temperature: logits are divided by it.
        top_k: only this many most likely codes; None: all.
        top_p: only the most likely codes that together have this probability.
        repetition_window: number of last codes that are checked for repetition; 0: none.
        repetition_ratio: a code with a larger share of them is sampled again.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    repetition_window: int = 0
    repetition_ratio: float = 0.1

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or (self.top_k or 1) < 1:
            raise ValueError(
                f"temperature {self.temperature}, top_k {self.top_k}, top_p {self.top_p}: expected "
                "0 or more, 1 or more, and above 0 up to 1"
            )

    def sample(
        self, logits: Tensor, past: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """Logits (B, V), the same codebook's codes so far (B, N) -> codes (B,)."""
        if self.temperature == 0:
            return logits.argmax(-1)
        probabilities = (logits.float() / self.temperature).softmax(-1)
        sampled = _sample(self._truncated(probabilities), generator)
        if self.repetition_window and past.shape[1]:
            last = past[:, -self.repetition_window :]
            repeated = (last == sampled[:, None]).float().mean(1) > self.repetition_ratio
            sampled = torch.where(repeated, _sample(probabilities, generator), sampled)
        return sampled

    def _truncated(self, probabilities: Tensor) -> Tensor:
        """The probabilities (B, V) after top-k and top-p, not normalised."""
        ordered, order = probabilities.sort(-1, descending=True)
        mask = ordered.cumsum(-1) - ordered < self.top_p  # includes the code that reaches top_p
        if self.top_k is not None:
            mask[:, self.top_k :] = False
        return torch.zeros_like(probabilities).scatter(-1, order, ordered * mask)


def _sample(probabilities: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]
