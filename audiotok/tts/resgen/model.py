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
    prompt_text: float = Field(default=0.5, ge=0, le=1)  # share of prompts with their phones
    q_gradient: bool = False  # through q of the bound; the paper does not say
    duration_weight: float = Field(default=1.0, ge=0)  # the paper gives none
    default_steps: int = Field(default=16, gt=0)  # forwards, where a request names no number
    deviations: str | None = None  # file of sigma_j, see `codewords`; None: the shipped one

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
        """Copies codewords and deviations of the codec.

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
        prompt_phones = [
            _phones_of(example.prompt, bool(draw < config.prompt_text))
            for example, draw in zip(examples, draws[0], strict=True)
        ]
        targets = [example.target for example in examples]
        target_phones = [(target.phones, target.durations()) for target in targets]
        prompts = [example.prompt.codes for example in examples]
        condition = self._condition(prompt_phones, target_phones, prompts, draws[1] < config.drop)
        codes = self._padded(
            [torch.cat([p, target.codes], 1) for p, target in zip(prompts, targets, strict=True)]
        )
        state = draw_state(self.network, condition, generator)
        return losses(
            self.network, codes, condition, state=state, q_gradient=config.q_gradient,
            duration_weight=config.duration_weight,
        )._asdict()  # fmt: skip

    @torch.no_grad()
    def generate(
        self, requests: Sequence[Request], options: Generation | None = None
    ) -> list[Generated]:
        """Raises SpeechError where durations do not fit their phones."""
        options, start = options or Generation(), time.perf_counter()
        steps = options.steps or self.config.default_steps
        options = options.model_copy(update={"steps": steps})
        prompt_phones = [_phones_of(request.prompt, True) for request in requests]
        durations = self._durations(requests, prompt_phones, options)
        phones = [(request.phones, d) for request, d in zip(requests, durations, strict=True)]
        prompts = [request.prompt.codes for request in requests]
        condition = self._condition(prompt_phones, phones, prompts)
        middle = time.perf_counter()
        device = self.network.codebooks.device
        codes = sample_codes(
            self.network,
            self._padded(prompts, int(condition.lengths.max())),
            condition,
            options=options,
            generators=[torch.Generator(device).manual_seed(r.seed) for r in requests],
        ).cpu()
        seconds = {"durations": middle - start, "codes": time.perf_counter() - middle}
        forwards = len(plan_of(self.network, options))
        return [
            Generated(clip[:, prompt.shape[1] : length], clip_durations, forwards, seconds)
            for clip, prompt, length, clip_durations in zip(
                codes, prompts, condition.lengths.tolist(), durations, strict=True
            )
        ]

    def _durations(
        self,
        requests: Sequence[Request],
        prompt_phones: Sequence[tuple[Tensor, Tensor]],
        options: Generation,
    ) -> list[Tensor]:
        """Frames of each phone, (N,) int64: those of the request, else those of the regressor."""
        phones = [(request.phones, torch.ones_like(request.phones)) for request in requests]
        prompts = [request.prompt.codes for request in requests]
        condition = self._condition(prompt_phones, phones, prompts)
        _, log_durations = self.network.encode_text(condition)
        frames = log_durations.exp().round().clamp(1, options.most_units).long().cpu()
        return [
            predicted[len(ids) :][: len(request.phones)]
            if request.durations is None
            else request.durations
            for predicted, (ids, _), request in zip(frames, prompt_phones, requests, strict=True)
        ]

    def _condition(
        self,
        prompt_phones: Sequence[tuple[Tensor, Tensor]],
        target_phones: Sequence[tuple[Tensor, Tensor]],
        prompts: Sequence[Tensor],
        dropped: Tensor | None = None,
    ) -> Condition:
        """The condition of a batch, from phones and durations of prompts and of targets."""
        pairs = list(zip(prompt_phones, target_phones, strict=True))
        phones, durations = (
            [torch.cat([prompt[part], target[part]]) for prompt, target in pairs] for part in (0, 1)
        )
        device = self.network.codebooks.device
        condition = condition_of(phones, durations, [codes.shape[1] for codes in prompts], device)
        if dropped is not None:
            condition.dropped.copy_(dropped)
        return condition

    def _padded(self, codes: Sequence[Tensor], frames: int = 0) -> Tensor:
        """Codes (D, T_i) as (B, D, T), T the longest or `frames`."""
        longest = max(frames, *(clip.shape[1] for clip in codes))
        shape = len(codes), self.network.depth, longest
        padded = torch.zeros(shape, dtype=torch.int64)
        for row, clip in zip(padded, codes, strict=True):
            row[:, : clip.shape[1]] = clip
        return padded.to(self.network.codebooks.device)


def _phones_of(prompt: Prompt, known: bool) -> tuple[Tensor, Tensor]:
    """Phones of a prompt and their frames; UNKNOWN for all of its frames unless `known`."""
    if known and prompt.phones is not None:
        return prompt.phones, prompt.durations
    return torch.tensor([UNKNOWN]), torch.tensor([prompt.codes.shape[1]])
