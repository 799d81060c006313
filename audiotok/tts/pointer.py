"""Monotonic inference of VALL-E R: a pointer into the phones that stays or advances by one.

Han et al. 2024, arXiv 2406.07855, section 3.3. So every phone is spoken, in order, and none twice.
Equation 5 prints z ~ Bernoulli(1 / (1 + exp(e))) for 'advance', where e is the model's
probability of the current phone against the next one, between 0 and 1. Taken literally ("printed"),
a frame advances with a probability of .27 to .5, whatever the model predicts: no phone can be held
or left with certainty. The default ("logit") takes e as the logit of that probability, so that the
probability of advancing is exactly the model's probability of the next phone. Without a draw (a
temperature of 0) each phone ends at the median of its durations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


def advance_probability(stay: float, following: float, rule: str = "logit") -> float:
    """
    Args:
        stay, following: logits (or log probabilities) of the current and of the next phone.
        rule: "logit" or "printed", see above.
    """
    current = 1 / (1 + math.exp(min(700.0, following - stay)))  # its probability
    return 1 - current if rule == "logit" else 1 / (1 + math.exp(current))


@dataclass
class Pointer:
    """The position of the speech in its phones.

    Attributes:
        count: number of phones, 1 or more.
        max_units: of one phone, after which the next one begins; not used with `fixed`.
        fixed: units of each phone, 1 or more; None: `step` decides.
        phone: the current one; `count` when all are spoken.
        elapsed: units of the current phone so far.
        longer: probability that the current phone lasts longer than that.
        durations: units of the phones that are complete.
    """

    count: int
    max_units: int
    fixed: Sequence[int] | None = None
    phone: int = 0
    elapsed: int = 0
    longer: float = 1.0
    durations: list[int] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return self.phone == self.count

    def step(self, probability: float, draw: float | None) -> bool:
        """Counts one more unit of the current phone; returns whether the next phone begins.

        Args:
            probability: of advancing.
            draw: uniform between 0 and 1; None: the phone ends at the median of its durations.
        """
        self.elapsed += 1
        self.longer *= 1 - probability
        if self.fixed is not None:
            advances = self.elapsed >= self.fixed[self.phone]
        else:
            ends = self.longer <= 0.5 if draw is None else draw < probability
            advances = ends or self.elapsed >= self.max_units
        if advances:
            self.durations.append(self.elapsed)
            self.phone, self.elapsed, self.longer = self.phone + 1, 0, 1.0
        return advances
