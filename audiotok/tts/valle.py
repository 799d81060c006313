"""The complete VALL-E R: one model predicts the first tokens, another one the other codebooks.

Speech can be generated in pieces: after every `PIECE` units the second model predicts the other
codebooks of the new frames, with all earlier frames as a part of the prompt.
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
from audiotok.tts.valle_ar import AR, State
from audiotok.tts.valle_nar import NAR

PIECE = 25  # units: a second where two frames of 20 ms are merged


class ValleR(SpeechModel):
    """Both models, of the same codec.

    Raises:
        CheckpointError: their codes are of different codecs, or grouped differently.
    """

    def __init__(self, ar: AR, nar: NAR):
        super().__init__()
        if ar.codes.fingerprint != nar.codes.fingerprint or ar.config.group != nar.config.group:
            raise CheckpointError(
                f"the two models do not fit: one is for {ar.codes.codec} in groups of "
                f"{ar.config.group}, the other for {nar.codes.codec} in groups of "
                f"{nar.config.group}"
            )
        self.ar, self.nar, self.codes, self.merge = ar, nar, ar.codes, ar.merge

    def loss(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """The losses of both models, which are trained separately."""
        losses = {f"ar_{k}": v for k, v in self.ar.loss(examples, generator).items()}
        losses |= {f"nar_{k}": v for k, v in self.nar.loss(examples, generator).items()}
        return {"loss": losses["ar_loss"] + losses["nar_loss"]} | losses

    @torch.no_grad()
    def generate(
        self, requests: Sequence[Request], options: Generation | None = None
    ) -> list[Generated]:
        start = time.perf_counter()
        latest: dict[int, State] = {}
        for step in self.ar.speak(requests, options or Generation()):
            latest |= step
        middle = time.perf_counter()
        states = [latest[number] for number in range(len(requests))]
        aligned = [_aligned(*pair) for pair in zip(requests, states, strict=True)]
        codes = self.nar.fill(aligned, [self._frames(state.tokens) for state in states])
        seconds = {"ar": middle - start, "nar": time.perf_counter() - middle}
        return [
            Generated(clip, request.durations, len(state.tokens), seconds, state.log_probs())
            for clip, request, state in zip(codes, aligned, states, strict=True)
        ]

    @torch.no_grad()
    def stream(self, request: Request, options: Generation | None = None) -> Iterator[Tensor]:
        prompt, ready = request.prompt, 0  # units
        for step in self.ar.speak([request], options or Generation()):
            state = step[0]
            if not state.done and len(state.tokens) % PIECE:
                continue
            remaining = _remaining(_aligned(request, state), ready)
            frames = self._frames(state.tokens[ready:])
            codes = self.nar.fill([replace(remaining, prompt=prompt)], [frames])[0]
            prompt, ready = _extended(prompt, codes, remaining), len(state.tokens)
            yield codes

    def _frames(self, tokens: Sequence[int]) -> Tensor:
        return torch.tensor(tokens).repeat_interleave(self.merge)


def _aligned(request: Request, state: State) -> Request:
    """The request with its phones spoken so far and their durations; the last phone may be
    incomplete."""
    if state.pointer is None:
        return request
    elapsed = state.pointer.elapsed
    lengths = [*state.pointer.durations, *([elapsed] if elapsed else [])]
    return replace(request, phones=request.phones[: len(lengths)], durations=torch.tensor(lengths))


def _remaining(request: Request, ready: int) -> Request:
    """The request without its first `ready` units, where their phones are known."""
    if request.durations is None:
        return request
    ids, lengths = alignment.cut(request.phones, request.durations, slice(ready, None))
    return replace(request, phones=ids, durations=lengths)


def _extended(prompt: Prompt, codes: Tensor, request: Request) -> Prompt:
    """The prompt, followed by the codes of a request."""
    codes = torch.cat([prompt.codes, codes], 1)
    if prompt.phones is None or request.durations is None:
        return Prompt(codes)
    ids = torch.cat([prompt.phones, request.phones])
    return Prompt(codes, ids, torch.cat([prompt.durations, request.durations]))
