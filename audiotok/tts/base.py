"""The interface of speech models: a loss for training, and codes for phones in a prompt's voice.

Lengths of phones are in units: one unit is `merge` frames of the codec, 1 where the model does not
merge. Codes are always those of the codec, (K, T) of one channel; a model that groups or merges
codebooks does so inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from audiotok.training.settings import Section
from audiotok.tts import alignment
from audiotok.tts.corpus import Utterance


@dataclass(frozen=True)
class Codes:
    """The codes that a model generates.

    Attributes:
        codec: name with options; fingerprint: of its codes.
        codebook_sizes, strides: of its K codebooks.
        frame_rate: Hz.
    """

    codec: str
    fingerprint: str
    codebook_sizes: tuple[int, ...]
    strides: tuple[int, ...]
    frame_rate: float


@dataclass(frozen=True)
class Prompt:
    """The voice to imitate.

    Attributes:
        codes: (K, T) int64, T a multiple of the model's `merge`.
        phones, durations: (N,) int64, ids and units of the phones in it; None if unknown.
    """

    codes: Tensor
    phones: Tensor | None = None
    durations: Tensor | None = None


@dataclass(frozen=True)
class Example:
    """A training target, and a prompt of the same voice with another text."""

    target: Utterance
    prompt: Prompt


@dataclass(frozen=True)
class Request:
    """Phones to speak, in the voice of a prompt.

    Attributes:
        phones: (N,) int64, with silence, see `phones`.
        durations: units of each, (N,); None: the model chooses.
        seed: of the sampling.
    """

    phones: Tensor
    prompt: Prompt
    durations: Tensor | None = None
    seed: int = 0


class Generation(Section):
    """Options of sampling; a model ignores those that it does not have."""

    temperature: float = Field(1.0, ge=0)  # 0: the most likely token, phones of median durations
    top_p: float = Field(0.9, gt=0, le=1)
    pointer: Literal["logit", "printed"] = "logit"  # VALL-E R, equation 5: see `pointer`
    most_units: int = Field(30, gt=0)  # of one phone; then the next one begins
    steps: int | None = Field(None, gt=0)  # of iterative models; None: the model's own number
    guidance: float = Field(0.0, ge=0)  # classifier-free, of models trained for it
    order: Literal["confidence", "random"] = "confidence"  # ResGen: of unmasking
    tau: float | None = Field(None, ge=0)  # ResGen: noise of the order; None: the paper's
    later_steps: int = Field(1, gt=0)  # masked tokens: of each codebook after the first


@dataclass(frozen=True)
class Generated:
    """The result of a request.

    Attributes:
        codes: (K, T) int64.
        durations: units of each phone; None where the model has no alignment.
        steps: sequential steps of the network.
        seconds: that each stage took.
        log_probs: of the sampled tokens and decisions, by kind, in order.
    """

    codes: Tensor
    durations: Tensor | None
    steps: int
    seconds: dict[str, float] = field(default_factory=dict)
    log_probs: dict[str, Tensor] = field(default_factory=dict)


class SpeechModel(nn.Module):
    """Base of all models.

    Attributes:
        codes: that it generates.
        merge: frames in one unit of duration.
    """

    codes: Codes
    merge: int = 1

    def fit(self) -> None:
        """Copies what it needs from its codec, once, before the first step."""

    def loss(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Scalars, among them "loss", which is minimised; `generator` is for the dropout of
        conditions, layers and masks."""
        raise NotImplementedError

    def generate(
        self, requests: Sequence[Request], options: Generation | None = None
    ) -> list[Generated]:
        """The codes of each request; the requests of a batch do not depend on each other."""
        raise NotImplementedError

    def stream(self, request: Request, options: Generation | None = None) -> Iterator[Tensor]:
        """The codes (K, T_i) of one request in pieces, each as soon as it is complete."""
        yield self.generate([request], options)[0].codes


def crop(utterance: Utterance, start: int, units: int, merge: int = 1) -> Prompt:
    """`units` units of an utterance from unit `start` on, with the phones spoken in them."""
    durations = utterance.durations(merge)
    phones, lengths = alignment.cut(utterance.phones, durations, slice(start, start + units))
    codes = utterance.codes[:, merge * start : merge * (start + units)]
    if missing := -codes.shape[1] % merge:
        codes = torch.cat([codes, codes[:, -1:].expand(-1, missing)], 1)
    return Prompt(codes, phones, lengths)
