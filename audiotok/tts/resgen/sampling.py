"""How ResGen generates: T forwards, whatever the depth of the codec (algorithm 2 of the paper).

In each step the latent of every frame is drawn from its mixture and quantized into the frame's
masked layers; the most confident ones, or some at random, become visible and no longer change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from audiotok.errors import CheckpointError
from audiotok.kernels import rvq_encode_from
from audiotok.lm.sampling import Sampling
from audiotok.tts.base import Generation
from audiotok.tts.resgen.masking import is_visible, masked_count, spread
from audiotok.tts.resgen.mixture import Mixture, guided
from audiotok.tts.resgen.network import Condition, Network

_FIRST_GUIDANCE = 0.02  # table 4 of the paper: the weight rises linearly from it
TAU = 28.0  # table 4
TOKEN_TAU = 4.5  # of the public MaskGIT; it falls to 0


@torch.no_grad()
def sample_codes(
    model: Network,
    codes: Tensor,
    condition: Condition,
    *,
    options: Generation,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Codes (B, D, T) whose prompts are those of `codes` (B, D, T); padding is -1.

    Args:
        codes: their values outside the prompts do not matter.
        options: with a number of steps.
        generators: of each clip, on the model's device: a clip does not depend on its batch, up to
            rounding of the network.

    Raises:
        CheckpointError: the model predicts NaN or infinity.
    """
    depth, lengths = model.depth, condition.lengths
    frames = torch.arange(codes.shape[2], device=codes.device)
    target = (frames >= condition.prompt_frames[:, None]) & (frames < lengths[:, None])
    codes = codes.masked_fill(target[:, None], 0)
    visible = torch.full(target.shape, depth, device=codes.device).masked_fill(target, 0)
    hidden_of = _network(model, condition, options.guidance > 0)
    rows = list(zip(target, generators, strict=True))
    for layer, step, steps in plan_of(model, options):
        halves = hidden_of(codes, visible)
        if not all(torch.isfinite(half[target]).all() for half in halves):
            raise CheckpointError("the model predicts values that are not finite: train it again")
        for row, (chosen, generator) in enumerate(rows):
            hidden = [half[row, chosen].to(model.scale) for half in halves]
            state = codes[row][:, chosen].T, visible[row, chosen]
            if layer is None:
                state = _latent_step(
                    model, hidden, state, step=step, options=options, generator=generator
                )
            else:
                state = _token_step(
                    model, hidden, state, position=(layer, step, steps), options=options,
                    generator=generator,
                )  # fmt: skip
            codes[row][:, chosen], visible[row, chosen] = state[0].T, state[1]
    return codes.masked_fill((frames >= lengths[:, None])[:, None], -1)


def plan_of(model: Network, options: Generation) -> list[tuple[int | None, int, int]]:
    """(layer, step, steps) of each forward; the layer is None where all are predicted."""
    plan = [(None, options.steps)]
    if model.settings.predictor == "tokens":
        later = ((layer, options.later_steps) for layer in range(1, model.depth))
        plan = [(0, options.steps), *later]
    return [(layer, step, steps) for layer, steps in plan for step in range(1, steps + 1)]


def guidance_weight(options: Generation, step: int, steps: int) -> float:
    """Guidance in a step from 1 to `steps`: it rises linearly to that of the options."""
    if not options.guidance or steps == 1:
        return options.guidance
    return _FIRST_GUIDANCE + (step - 1) / (steps - 1) * (options.guidance - _FIRST_GUIDANCE)


def _network(model: Network, condition: Condition, guidance: bool):
    """(codes, visible) -> hidden of the conditional and, with guidance, of the unconditional
    model."""
    encoded, _ = model.encode_text(condition)
    count = 2 if guidance else 1
    if guidance:
        dropped = torch.zeros(2, len(encoded), dtype=torch.bool, device=encoded.device)
        dropped[1] = True
        doubled = (
            torch.cat([part, part])
            for part in (condition.phones, condition.durations, condition.prompt_frames)
        )
        condition = Condition(*doubled, dropped.flatten())
    expanded = model.expand(torch.cat([encoded] * count), condition)

    def hidden(codes: Tensor, visible: Tensor) -> Sequence[Tensor]:
        inputs = torch.cat([codes] * count), torch.cat([visible] * count)
        return model(*inputs, expanded, condition).chunk(count)

    return hidden


def _latent_step(model, hidden, state, *, step, options, generator):
    """The next state of one clip: codes (L, D) and visible layers (L,)."""
    codes, visible = state
    depth, total = model.depth, codes.numel()
    mixtures = [model.mixture(half) for half in hidden]
    latents = model.scale * draw(
        mixtures, guidance_weight(options, step, options.steps), options, generator
    )
    books = model.codebooks.float()
    new_codes = rvq_encode_from(latents.float(), books, visible)
    masked = total - int(visible.sum())
    unmasked = masked - masked_count(step / options.steps, total)
    if unmasked == masked:  # the last step
        counts = depth - visible
    elif options.order == "random":
        counts = spread(unmasked, depth - visible, generator)
    else:
        scores = confidences(latents.float(), new_codes, books, model.deviations.float())
        tau = TAU if options.tau is None else options.tau
        counts = most_confident(scores, unmasked, tau, generator)
    after = visible + counts
    return codes.where(~is_visible(after, depth) | is_visible(visible, depth), new_codes), after


def draw(
    mixtures: Sequence[Mixture],
    weight: float,
    options: Generation,
    generator: torch.Generator | None,
) -> Tensor:
    """Latents (L, H) of the conditional mixture, guided away from an unconditional second one."""
    logits = [mixture.logits.log_softmax(1) for mixture in mixtures]
    if len(mixtures) == 2:
        logits[0] = (1 + weight) * logits[0] - weight * logits[1]
    top = Sampling(float(options.temperature > 0), top_p=options.top_p)
    components = top.sample(logits[0], logits[0][:, :0], generator)
    gaussians = [(mixture.means(components), mixture.log_scale) for mixture in mixtures]
    mean, log_scale = gaussians[0]
    if len(mixtures) == 2:
        mean, log_scale = guided(*gaussians, weight)
    noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
    return mean + options.temperature * log_scale.exp()[:, None] * noise


def confidences(latents: Tensor, codes: Tensor, codebooks: Tensor, deviations: Tensor) -> Tensor:
    """Cumulative log probabilities (L, D) of `codes` (L, D); -inf where a code is -1.

    The code of layer j has log N(r_j; e(x_j; j), sigma_j^2 I), with r_j the residual of
    the latents (L, H) after the masked layers above.
    """
    masked = codes >= 0
    layers = torch.arange(codes.shape[1], device=codes.device)
    words = codebooks[layers, codes.clamp(min=0)] * masked[..., None]
    errors = (latents[:, None] - words.cumsum(1)).square().sum(2)  # (L, D)
    variance = deviations.square()
    log_norm = latents.shape[1] / 2 * (2 * math.pi * variance).log()
    scores = torch.where(masked, -errors / (2 * variance) - log_norm, 0.0).cumsum(1)
    return scores.masked_fill(~masked, -torch.inf)


def most_confident(
    scores: Tensor, count: int, tau: float, generator: torch.Generator | None
) -> Tensor:
    """How many codes of each frame (L,) are among the `count` best of scores (L, D), with noise.

    Each code has noise of its own, so the chosen codes may skip a shallower layer; then as many of
    the shallowest layers of the frame become visible.
    """
    noise = torch.empty_like(scores).exponential_(generator=generator).log()
    chosen = (scores - tau * noise).flatten().topk(count).indices
    return (chosen // scores.shape[1]).bincount(minlength=len(scores))


def _token_step(model, hidden, state, *, position, options, generator):
    """As `_latent_step`, for a model that predicts the codes of one layer."""
    codes, visible = state
    layer, step, steps = position
    logits = [model.logits(half, layer).log_softmax(1) for half in hidden]
    if len(logits) == 2:
        weight = guidance_weight(options, step, steps)
        logits[0] = ((1 + weight) * logits[0] - weight * logits[1]).log_softmax(1)
    top = Sampling(options.temperature, top_p=options.top_p)
    new_codes = top.sample(logits[0], codes[:, :0], generator)
    masked = visible == layer
    unmasked = int(masked.sum()) - masked_count(step / steps, len(codes))
    if options.order == "random":
        counts = spread(unmasked, masked.long(), generator)
    else:
        scores = logits[0].gather(1, new_codes[:, None]).masked_fill(~masked[:, None], -torch.inf)
        tau = (TOKEN_TAU if options.tau is None else options.tau) * (1 - step / steps)
        counts = most_confident(scores, unmasked, tau, generator)
    codes = codes.clone()
    codes[:, layer] = codes[:, layer].where(counts == 0, new_codes)
    return codes, visible + counts
