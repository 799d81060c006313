"""Small speech models with random weights, and requests for them."""

import torch

from audiotok.tts.base import Codes, Example, Prompt, Request
from audiotok.tts.corpus import Utterance
from audiotok.tts.valle import ValleR
from audiotok.tts.valle_ar import ARConfig
from audiotok.tts.valle_nar import NARConfig

SMALL = {"dimension": 16, "heads": 2, "layers": 2, "dropout": 0.0}


def codes(merge=2, codebooks=6, size=4, group=2):
    """Of a codec with `codebooks` codebooks, the first `group` of them merged."""
    strides = (merge,) * group + (1,) * (codebooks - group)
    return Codes("toy", "f" * 64, (size,) * codebooks, strides, 50.0)


def ar(seed=0, merge=2, spread=1.0, **options):
    """Its weights are multiplied by `spread`, so that its logits are far from even."""
    torch.manual_seed(seed)
    model = ARConfig(group=2, **(SMALL | options)).build(codes(merge)).eval()
    return widened(model, spread)


def nar(seed=1, merge=2, spread=1.0, **options):
    torch.manual_seed(seed)
    model = NARConfig(group=2, **(SMALL | options)).build(codes(merge)).eval()
    return widened(model, spread)


def widened(model, spread):
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and spread != 1.0:
                weight.mul_(spread)
            elif name.endswith("bias"):
                weight.normal_()
    return model


def whole(merge=2, spread=8.0, **options):
    return ValleR(ar(merge=merge, spread=spread, **options), nar(merge=merge, spread=spread))


def sound(frames, seed, like=None):
    """Codes (K, frames) whose first two codebooks change every second frame."""
    like = like or codes()
    generator = torch.Generator().manual_seed(seed)
    found = torch.randint(0, like.codebook_sizes[0], (6, frames), generator=generator)
    merge = like.strides[0]
    found[:2] = found[:2, ::merge].repeat_interleave(merge, 1)[:, :frames]
    return found


def request(phones=5, frames=8, seed=0, told=False, durations=None, merge=2):
    """A text of so many phones, and a prompt of so many frames; told: its text is given too."""
    generator = torch.Generator().manual_seed(seed)
    spoken = torch.randint(2, 42, (phones,), generator=generator)
    like = codes(merge)
    prompt = Prompt(sound(frames, seed, like))
    if told:
        prompt = Prompt(prompt.codes, torch.tensor([2, 7]), torch.tensor([1, frames // merge - 1]))
    return Request(spoken, prompt, durations, seed)


def example(seed=0, phones=5, frames=30):
    generator = torch.Generator().manual_seed(seed)
    spoken = torch.randint(2, 42, (phones,), generator=generator)
    starts = tuple(0.02 * (frames * n // phones) for n in range(phones))
    target = Utterance(f"clip{seed}", "one", sound(frames, seed), spoken, starts, 50.0)
    return Example(target, request(seed=seed + 50, told=True).prompt)
