"""The complete VALL-E R: one model predicts the first tokens, another one the other codebooks.

Speech can be generated in pieces: after every `PIECE` units the second model fills the new frames.
It takes the frames that it filled before as a part of the prompt.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from audiotok.errors import CheckpointError
from audiotok.tts import alignment
from audiotok.tts.base import Example, Generated, Generation, Prompt, Request, SpeechModel
from audiotok.tts.valle_ar import AR, Spoken
from audiotok.tts.valle_nar import NAR

PIECE = 25  # units: a second where two frames of 20 ms are merged


class ValleR(SpeechModel):
    """Both models, of the same codec.

    Raises:
        CheckpointError: they speak codes of other codecs, or group them otherwise.
    """

    def __init__(self, ar: AR, nar: NAR):
        super().__init__()
        ours, theirs = (one.codes.fingerprint for one in (ar, nar))
        if ours != theirs or ar.config.group != nar.config.group:
            raise CheckpointError(
                f"the two models do not fit: one speaks {ar.codes.codec} in groups of "
                f"{ar.config.group}, the other {nar.codes.codec} in groups of {nar.config.group}"
            )
        self.ar, self.nar, self.codes, self.merge = ar, nar, ar.codes, ar.merge

    def loss(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Of both; they are trained apart."""
        own = {f"ar_{k}": v for k, v in self.ar.loss(examples, generator).items()}
        own |= {f"nar_{k}": v for k, v in self.nar.loss(examples, generator).items()}
        return {"loss": own["ar_loss"] + own["nar_loss"]} | own

    @torch.no_grad()
    def generate(
        self, requests: Sequence[Request], options: Generation | None = None
    ) -> list[Generated]:
        began = time.perf_counter()
        spoken: dict[int, Spoken] = {}
        for step in self.ar.speak(requests, options or Generation()):
            spoken |= step
        between = time.perf_counter()
        done = [spoken[number] for number in range(len(requests))]
        asked = [_aligned(*pair) for pair in zip(requests, done, strict=True)]
        codes = self.nar.fill(asked, [self._frames(one.tokens) for one in done])
        seconds = {"ar": between - began, "nar": time.perf_counter() - between}
        return [
            Generated(
                own,
                ask.durations,
                len(one.tokens),
                seconds,
                {"token": torch.tensor(one.token_nats), "pointer": torch.tensor(one.pointer_nats)},
            )
            for own, ask, one in zip(codes, asked, done, strict=True)
        ]

    @torch.no_grad()
    def stream(self, request: Request, options: Generation | None = None) -> Iterator[Tensor]:
        given, ready = request.prompt, 0  # units
        for step in self.ar.speak([request], options or Generation()):
            one = step[0]
            if not one.done and len(one.tokens) % PIECE:
                continue
            asked = _rest(_aligned(request, one), ready)
            frames = self._frames(one.tokens[ready:])
            codes = self.nar.fill([replace(asked, prompt=given)], [frames])[0]
            given, ready = _joined(given, codes, asked), len(one.tokens)
            yield codes

    def _frames(self, tokens: Sequence[int]) -> Tensor:
        return torch.tensor(tokens).repeat_interleave(self.merge)


def _aligned(request: Request, one: Spoken) -> Request:
    """The request with the units that its phones got, those not spoken yet left out; the last one
    may go on."""
    if one.pointer is None:
        return request
    lengths = [*one.pointer.durations, *([one.pointer.spent] if one.pointer.spent else [])]
    return replace(request, phones=request.phones[: len(lengths)], durations=torch.tensor(lengths))


def _rest(request: Request, ready: int) -> Request:
    """The request without its first `ready` units, where their phones are known."""
    if request.durations is None:
        return request
    spoken, lengths = alignment.cut(request.phones, request.durations, slice(ready, None))
    return replace(request, phones=spoken, durations=lengths)


def _joined(prompt: Prompt, codes: Tensor, said: Request) -> Prompt:
    """The prompt, and what was said after it."""
    both = torch.cat([prompt.codes, codes], 1)
    if prompt.phones is None or said.durations is None:
        return Prompt(both)
    spoken = torch.cat([prompt.phones, said.phones])
    return Prompt(both, spoken, torch.cat([prompt.durations, said.durations]))
