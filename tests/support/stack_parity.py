"""Comparing a whole codec with residual cosine codebooks to official code, near ties counted."""

import functools

import torch

from audiotok import data
from audiotok.nn.quantizers.base import rows_of
from audiotok.nn.quantizers.strided import pool, repeat
from support.parity import cosine_margin, near_ties


@functools.cache
def speech(sample_rate, seconds, skip=0):
    """Speech of the bundled corpus, clips one after another (1, 1, L)."""
    wanted, parts = sample_rate * (seconds + skip), []
    clips = iter(data.load("bundled"))
    while sum(part.shape[1] for part in parts) < wanted:
        parts.append(next(clips).read().to_channels(1).resample(sample_rate).waveform)
    return torch.cat(parts, 1)[None, :, sample_rate * skip : wanted].clone()


def scatter(module, seed=0):
    """Random weights of every kind, such that sound keeps its level from layer to layer."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith("alpha") and tensor.ndim == 3:  # not a logarithm, as in BigCodec
                tensor.copy_(0.3 + noise.abs())
            elif name.endswith(("original0", "weight_g")):
                tensor.copy_((0.5 + 0.2 * noise.abs()) * (0.3 if "out_proj" in name else 1))
            elif tensor.ndim > 1:
                scale = (2 * tensor[0].numel()) ** -0.5
                tensor.copy_(noise * scale * (0.3 if "out_proj" in name else 1))
            else:
                tensor.copy_(0.1 * noise)
    return module


@torch.no_grad()
def contrast(encoder, last, waveform):
    """Latents (1, D, T) after the last convolution was set so that each channel says something:
    mean 0 and variance 1, as about those of a trained encoder."""
    latents = encoder(waveform)
    mean, spread = latents.mean((0, 2)), latents.std((0, 2))
    parts = dict(last.named_parameters())
    names = ("weight", "weight_g", "parametrizations.weight.original0")
    next(parts[name] for name in names if name in parts).div_(spread[:, None, None])
    parts["bias"].sub_(mean).div_(spread)
    return encoder(waveform)


@torch.no_grad()
def draw_codebooks(stages, strides, latents, seed=1):
    """Fills the codebook of each stage with what it gets of latents (1, D, T), each a bit off.

    Args:
        stages: modules with in_proj, out_proj and a codebook, ours or official.
    """
    generator, residual = torch.Generator().manual_seed(seed), latents
    for stage, stride in zip(stages, strides, strict=True):
        rows = rows_of(stage.in_proj(pool(residual, stride)))
        codebook = getattr(stage.codebook, "weight", stage.codebook)
        chosen = rows[torch.randint(len(rows), (len(codebook),), generator=generator)]
        noise = torch.randn(chosen.shape, generator=generator)
        codebook.copy_(chosen + 0.3 * rows.std() * noise)
        nearest = torch.nn.functional.normalize(rows) @ torch.nn.functional.normalize(codebook).T
        found = stage.out_proj(codebook[nearest.argmax(1)].T[None])
        residual = residual - repeat(found, stride, latents.shape[-1])


@torch.no_grad()
def agree(quantizer, latents, ours, theirs, their_rows, distinct=100, least=0.95):
    """Asserts that codes (1, K, T) of two codecs are equal but for near ties; how many there were.

    Args:
        quantizer: ours.
        latents: ours (1, D, T).
        their_rows: of each codebook, the rows that the official code searched.
        distinct: codes that each codebook must use at least.
        least: share of the codes that must be left to judge.
    """
    residual, margins, num_frames = latents, [], latents.shape[-1]
    for index, (stage, stride) in enumerate(zip(quantizer.stages, quantizer.strides, strict=True)):
        rows = rows_of(stage.in_proj(pool(residual, stride)))
        margin = cosine_margin(rows, stage.codebook, their_rows[index])
        margins.append(repeat(margin[None, None], stride, num_frames)[0, 0])
        found = stage.decode(ours[:, index : index + 1])
        residual = residual - found
    return near_ties(ours, theirs, torch.stack(margins), least=least, distinct=distinct)
