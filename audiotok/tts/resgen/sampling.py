"""How ResGen generates: T forwards, whatever the depth of the codec (algorithm 2 of the paper).

In each step the latent of every frame is drawn from its mixture and quantized into the frame's
masked layers; the most confident ones, or some at random, become visible, and stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from audiotok.errors import CheckpointError
from audiotok.kernels import rvq_encode_from
from audiotok.lm.sampling import Sampling
from audiotok.tts.resgen.masking import is_visible, masked_count, spread
from audiotok.tts.resgen.mixture import Mixture, guided
from audiotok.tts.resgen.model import Condition, ResGen

_FIRST_GUIDANCE = 0.02  # table 4 of the paper: the weight rises linearly from it


@dataclass(frozen=True)
class ResGenSampling:
    """One way to sample. The paper: top_p .94, .96, .98 for 28, 48, 64 steps, guidance 2.4.

    Attributes:
        steps: T, forwards of a clip; for tokens, those of the first layer.
        top_p: only the most likely components (for tokens: codes) that together have this
            probability.
        order: of unmasking: most confident first, or at random.
        tau: factor of the Gumbel noise of confidence; None: 28, for tokens 4.5, falling to 0.
        guidance: weight of the last step; 0: without, one forward for each step and clip.
        noise: factor of the standard deviation of a component; 0: its mean.
        later_steps: tokens: forwards of each layer after the first.
    """

    steps: int = 16
    top_p: float = 0.94
    order: Literal["confidence", "random"] = "confidence"
    tau: float | None = None
    guidance: float = 0.0
    noise: float = 1.0
    later_steps: int = 1

    def __post_init__(self) -> None:
        numbers = (self.tau or 0.0, self.guidance, self.noise)
        if min(self.steps, self.later_steps) < 1 or not 0 < self.top_p <= 1 or min(numbers) < 0:
            raise ValueError(
                f"steps {self.steps} and {self.later_steps}, top_p {self.top_p}; tau, guidance, "
                f"noise {numbers}: expected 1 or more, above 0 up to 1, and 0 or more"
            )
        if self.order not in ("confidence", "random"):
            raise ValueError(f"order is {self.order!r}: expected 'confidence' or 'random'")

    def weight(self, step: int) -> float:
        """Guidance in a step from 1 to T."""
        if not self.guidance or self.steps == 1:
            return self.guidance
        share = (step - 1) / (self.steps - 1)
        return _FIRST_GUIDANCE + share * (self.guidance - _FIRST_GUIDANCE)


@torch.inference_mode()
def generate(
    model: ResGen,
    codes: Tensor,
    condition: Condition,
    *,
    sampling: ResGenSampling,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Codes (B, D, T) whose prompts are those of `codes` (B, D, T); padding is -1.

    Args:
        codes: any beside the prompts.
        generators: of each clip, on the model's device: a clip does not depend on its batch, up to
            rounding of the network.

    Raises:
        CheckpointError: the model predicts NaN or infinity.
    """
    depth, lengths = model.config.depth, condition.lengths
    frames = torch.arange(codes.shape[2], device=codes.device)
    wanted = (frames >= condition.prompt_frames[:, None]) & (frames < lengths[:, None])
    codes = codes.masked_fill(wanted[:, None], 0)
    visible = torch.full(wanted.shape, depth, device=codes.device).masked_fill(wanted, 0)
    hidden_of = _network(model, condition, sampling.guidance > 0)
    rows = list(zip(wanted, generators, strict=True))
    if model.config.predictor == "tokens":
        plan = _token_plan(depth, sampling)
    else:
        plan = [(None, step, sampling.steps) for step in range(1, sampling.steps + 1)]
    for layer, step, steps in plan:
        halves = hidden_of(codes, visible)
        if not all(torch.isfinite(half[wanted]).all() for half in halves):
            raise CheckpointError("the model gives values that are not finite: train it again")
        for row, (chosen, generator) in enumerate(rows):
            hidden = [half[row, chosen].to(model.scale) for half in halves]
            state = codes[row][:, chosen].T, visible[row, chosen]
            if layer is None:
                state = _latent_step(model, hidden, state, step, sampling, generator)
            else:
                state = _token_step(model, hidden, state, (layer, step, steps), sampling, generator)
            codes[row][:, chosen], visible[row, chosen] = state[0].T, state[1]
    return codes.masked_fill((frames >= lengths[:, None])[:, None], -1)


def _network(model: ResGen, condition: Condition, both: bool):
    """(codes, visible) -> hidden of the conditional and, if `both`, of the unconditional model."""
    encoded, _ = model.encode_text(condition)
    count = 2 if both else 1
    if both:
        dropped = torch.zeros(2, len(encoded), dtype=torch.bool, device=encoded.device)
        dropped[1] = True
        twice = (
            torch.cat([part, part])
            for part in (condition.phones, condition.durations, condition.prompt_frames)
        )
        condition = Condition(*twice, dropped.flatten())
    expanded = model.expand(torch.cat([encoded] * count), condition)

    def hidden(codes: Tensor, visible: Tensor) -> Sequence[Tensor]:
        inputs = torch.cat([codes] * count), torch.cat([visible] * count)
        return model(*inputs, expanded, condition).chunk(count)

    return hidden


def _latent_step(model, hidden, state, step, sampling, generator):
    """The next state of one clip: codes (L, D) and visible layers (L,)."""
    codes, visible = state
    depth, total = model.config.depth, codes.numel()
    mixtures = [model.mixture(half) for half in hidden]
    latents = model.scale * draw(mixtures, sampling.weight(step), sampling, generator)
    books = model.codebooks.float()
    found = rvq_encode_from(latents.float(), books, visible)
    masked = total - int(visible.sum())
    shown = masked - masked_count(step / sampling.steps, total)
    if sampling.order == "random":
        counts = spread(shown, depth - visible, generator)
    else:
        scores = confidences(latents.float(), found, books, model.deviations.float())
        tau = 28.0 if sampling.tau is None else sampling.tau
        counts = most_confident(scores, shown, tau, generator)
    after = visible + counts
    return codes.where(~is_visible(after, depth) | is_visible(visible, depth), found), after


def draw(
    mixtures: Sequence[Mixture],
    weight: float,
    sampling: ResGenSampling,
    generator: torch.Generator | None,
) -> Tensor:
    """Latents (L, H) of the conditional mixture, guided away from an unconditional second one."""
    logits = [mixture.logits.log_softmax(1) for mixture in mixtures]
    if len(mixtures) == 2:
        logits[0] = (1 + weight) * logits[0] - weight * logits[1]
    top = Sampling(top_p=sampling.top_p)
    components = top.sample(logits[0], logits[0][:, :0], generator)
    gaussians = [(mixture.means(components), mixture.log_scale) for mixture in mixtures]
    mean, log_scale = gaussians[0]
    if len(mixtures) == 2:
        mean, log_scale = guided(*gaussians, weight)
    noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
    return mean + sampling.noise * log_scale.exp()[:, None] * noise


def confidences(latents: Tensor, found: Tensor, codebooks: Tensor, deviations: Tensor) -> Tensor:
    """Cumulative log probabilities (L, D) of the codes `found`; -inf where `found` is -1.

    The code of layer j has log N(r_j; e(x_j; j), sigma_j^2 I), with r_j what the masked layers
    above left of the latents (L, H).
    """
    masked = found >= 0
    layers = torch.arange(found.shape[1], device=found.device)
    words = codebooks[layers, found.clamp(min=0)] * masked[..., None]
    left = (latents[:, None] - words.cumsum(1)).square().sum(2)  # (L, D)
    variance = deviations.square()
    log_norm = latents.shape[1] / 2 * (2 * math.pi * variance).log()
    scores = torch.where(masked, -left / (2 * variance) - log_norm, 0.0).cumsum(1)
    return scores.masked_fill(~masked, -torch.inf)


def most_confident(
    scores: Tensor, shown: int, tau: float, generator: torch.Generator | None
) -> Tensor:
    """How many codes of each frame (L,) are among the `shown` best of scores (L, D), with noise.

    Each code has noise of its own, so those chosen may leave out a shallower layer; the frame then
    shows as many of its shallowest layers.
    """
    noise = torch.empty_like(scores).exponential_(generator=generator).log()
    chosen = (scores - tau * noise).flatten().topk(shown).indices
    return (chosen // scores.shape[1]).bincount(minlength=len(scores))


def _token_plan(depth: int, sampling: ResGenSampling) -> list[tuple[int, int, int]]:
    """(layer, step, steps) of each forward."""
    steps = [sampling.steps, *[sampling.later_steps] * (depth - 1)]
    return [(layer, step, n) for layer, n in enumerate(steps) for step in range(1, n + 1)]


def _token_step(model, hidden, state, place, sampling, generator):
    """As `_latent_step`, for a model that predicts the codes of one layer."""
    codes, visible = state
    layer, step, steps = place
    logits = [model.logits(half, layer).log_softmax(1) for half in hidden]
    if len(logits) == 2:
        weight = replace(sampling, steps=steps).weight(step)
        logits[0] = ((1 + weight) * logits[0] - weight * logits[1]).log_softmax(1)
    found = Sampling(top_p=sampling.top_p).sample(logits[0], codes[:, :0], generator)
    masked = visible == layer
    shown = int(masked.sum()) - masked_count(step / steps, len(codes))
    if sampling.order == "random":
        counts = spread(shown, masked.long(), generator)
    else:
        scores = logits[0].gather(1, found[:, None]).masked_fill(~masked[:, None], -torch.inf)
        tau = (4.5 if sampling.tau is None else sampling.tau) * (1 - step / steps)
        counts = most_confident(scores, shown, tau, generator)
    codes = codes.clone()
    codes[:, layer] = codes[:, layer].where(counts == 0, found)
    return codes, visible + counts
