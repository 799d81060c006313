"""Monotonic inference of VALL-E R: a pointer into the phones that stays or advances by one.

Han et al. 2024, arXiv 2406.07855, section 3.3. So every phone is spoken, in order, and none twice.
Equation 5 prints z ~ Bernoulli(1 / (1 + exp(e))) for 'advance', where e is the model's share for
the current phone against the next one, between 0 and 1. Read so ("printed"), a frame advances with
a probability of .27 to .5, whatever the model says: no phone can be held or left with certainty.
The default ("logit") takes e as the logit of that share, so that the probability of advancing is
exactly the model's share for the next phone.
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
    share = 1 / (1 + math.exp(min(700.0, following - stay)))  # of the current phone
    return 1 - share if rule == "logit" else 1 / (1 + math.exp(share))


@dataclass
class Pointer:
    """Where the speech is in its phones.

    Attributes:
        count: of the phones, 1 or more.
        most: units on one phone, after which the next one begins; not for given durations.
        given: units of each phone, 1 or more; None: they are decided.
        phone: at hand; `count` when all is spoken.
        spent: units on it so far.
    """

    count: int
    most: int
    given: Sequence[int] | None = None
    phone: int = 0
    spent: int = 0
    durations: list[int] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return self.phone == self.count

    def step(self, probability: float, draw: float) -> bool:
        """A unit of the phone at hand was spoken; whether the next one begins.

        Args:
            probability: of advancing.
            draw: uniform between 0 and 1.
        """
        self.spent += 1
        if self.given is not None:
            advances = self.spent >= self.given[self.phone]
        else:
            advances = draw < probability or self.spent >= self.most
        if advances:
            self.durations.append(self.spent)
            self.phone, self.spent = self.phone + 1, 0
        return advances
