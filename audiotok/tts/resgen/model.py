"""ResGen as a speech model: examples to a loss, requests to codes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from audiotok.codec import registry
from audiotok.errors import CodecError
from audiotok.tts.base import (
    Codes,
    Example,
    Generated,
    Generation,
    Prompt,
    Request,
    SpeechModel,
)
from audiotok.tts.phones import UNKNOWN
from audiotok.tts.resgen import codewords
from audiotok.tts.resgen.loss import draw_state, losses
from audiotok.tts.resgen.network import Condition, Network, NetworkConfig, condition_of
from audiotok.tts.resgen.sampling import plan_of, sample_codes


class ResGenConfig(NetworkConfig):
    """Sizes, and how the model is trained."""

    kind: Literal["resgen"] = "resgen"
    drop: float = Field(default=0.1, ge=0, lt=1)  # share of clips without condition, for guidance
    prompt_text: float = Field(default=0.5, ge=0, le=1)  # share of prompts whose phones are known
    q_gradient: bool = False  # through q of the bound; the paper does not say
    duration_weight: float = Field(default=1.0, ge=0)  # the paper gives none
    deviations: str | None = None  # file of sigma_j, see `codewords`; None: those that ship

    def build(self, codes: Codes) -> ResGen:
        """A model of these codes with random weights; `fit` gives it the codewords."""
        return ResGen(self, codes)


class ResGen(SpeechModel):
    """Masked latents of all frames at once, in a number of steps that does not grow with depth."""

    def __init__(self, config: ResGenConfig, codes: Codes):
        super().__init__()
        self.config, self.codes = config, codes
        self.network = Network(config, codes)

    def fit(self) -> None:
        """Takes codewords and deviations of the codec.

        Raises:
            CodecError: its codewords do not add up, are of other dimensions or of other weights
                than the codes, or their deviations were not measured.
        """
        codec, depth = registry.load(self.codes.codec, quiet=True), self.network.depth
        words = codewords.codewords(codec, depth)
        if codec.fingerprint != self.codes.fingerprint or words.shape[2] != self.config.latents:
            raise CodecError(
                f"{codec.card.name} has codewords of {words.shape[2]} dimensions and the "
                f"fingerprint {codec.fingerprint[:12]}: expected latents: {self.config.latents} of "
                f"the recipe, and {self.codes.fingerprint[:12]} of the codes"
            )
        self.network.set_codec(words, codewords.deviations(codec, depth, self.config.deviations))

    def loss(
        self, examples: Sequence[Example], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """ "loss", and its parts: see `loss.Losses`."""
        config = self.config
        draws = torch.rand(2, len(examples), generator=generator)
        voices = [
            _spoken(one.prompt, bool(known < config.prompt_text))
            for one, known in zip(examples, draws[0], strict=True)
        ]
        targets = [one.target for one in examples]
        asked = [(one.phones, one.durations()) for one in targets]
        prompts = [one.prompt.codes for one in examples]
        condition = self._condition(voices, asked, prompts, draws[1] < config.drop)
        codes = self._padded(
            [torch.cat([p, one.codes], 1) for p, one in zip(prompts, targets, strict=True)]
        )
        state = draw_state(self.network, condition, generator)
        found = losses(
            self.network, codes, condition, state=state, q_gradient=config.q_gradient,
            duration_weight=config.duration_weight,
        )  # fmt: skip
        return found._asdict()

    @torch.no_grad()
    def generate(
        self, requests: Sequence[Request], options: Generation | None = None
    ) -> list[Generated]:
        """Raises SpeechError where durations do not fit their phones."""
        options, began = options or Generation(), time.perf_counter()
        voices = [_spoken(one.prompt, True) for one in requests]
        durations = self._durations(requests, voices, options)
        asked = [(one.phones, lasts) for one, lasts in zip(requests, durations, strict=True)]
        prompts = [one.prompt.codes for one in requests]
        condition = self._condition(voices, asked, prompts)
        between = time.perf_counter()
        device = self.network.codebooks.device
        codes = sample_codes(
            self.network,
            self._padded(prompts, int(condition.lengths.max())),
            condition,
            options=options,
            generators=[torch.Generator(device).manual_seed(one.seed) for one in requests],
        ).cpu()
        seconds = {"durations": between - began, "codes": time.perf_counter() - between}
        steps = len(plan_of(self.network, options))
        return [
            Generated(own[:, prompt.shape[1] : length], lasts, steps, seconds)
            for own, prompt, length, lasts in zip(
                codes, prompts, condition.lengths.tolist(), durations, strict=True
            )
        ]

    def _durations(
        self,
        requests: Sequence[Request],
        voices: Sequence[tuple[Tensor, Tensor]],
        options: Generation,
    ) -> list[Tensor]:
        """Frames of each phone, (N,) int64: those asked for, else those of the regressor."""
        ones = [(one.phones, torch.ones_like(one.phones)) for one in requests]
        prompts = [one.prompt.codes for one in requests]
        _, logs = self.network.encode_text(self._condition(voices, ones, prompts))
        frames = logs.exp().round().clamp(1, options.most_units).long().cpu()
        return [
            own[len(ids) : len(ids) + len(one.phones)] if one.durations is None else one.durations
            for own, (ids, _), one in zip(frames, voices, requests, strict=True)
        ]

    def _condition(
        self,
        voices: Sequence[tuple[Tensor, Tensor]],
        asked: Sequence[tuple[Tensor, Tensor]],
        prompts: Sequence[Tensor],
        dropped: Tensor | None = None,
    ) -> Condition:
        both = list(zip(voices, asked, strict=True))
        phones, durations = (
            [torch.cat([voice[part], ask[part]]) for voice, ask in both] for part in (0, 1)
        )
        device = self.network.codebooks.device
        found = condition_of(phones, durations, [one.shape[1] for one in prompts], device)
        if dropped is not None:
            found.dropped.copy_(dropped)
        return found

    def _padded(self, codes: Sequence[Tensor], frames: int = 0) -> Tensor:
        """Codes (D, T_i) as (B, D, T), T the longest or `frames`."""
        longest = max(frames, *(one.shape[1] for one in codes))
        shape = len(codes), self.network.depth, longest
        padded = torch.zeros(shape, dtype=torch.int64)
        for row, one in zip(padded, codes, strict=True):
            row[:, : one.shape[1]] = one
        return padded.to(self.network.codebooks.device)


def _spoken(prompt: Prompt, known: bool) -> tuple[Tensor, Tensor]:
    """Phones of a prompt and their frames; UNKNOWN where they are not known."""
    if known and prompt.phones is not None:
        return prompt.phones, prompt.durations
    return torch.tensor([UNKNOWN]), torch.tensor([prompt.codes.shape[1]])
