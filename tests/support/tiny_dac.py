"""A narrow DAC with random weights, under our names and under those of the original code."""

import functools
import re

import torch

from audiotok.nn.dac import DACConfig, DACNetwork
from support.stack_parity import draw_codebooks, scatter, speech

STRIDES = {"dac-16k": (2, 4, 5, 8), "dac-24k": (2, 4, 5, 8), "dac-44k": (2, 4, 8, 8)}
COUNTS = {"dac-16k": 12, "dac-24k": 32, "dac-44k": 9}


@functools.cache
def network(name="dac-16k"):
    """Of the card's strides and codebooks, which are drawn from latents of speech."""
    config = DACConfig(
        strides=STRIDES[name],
        num_filters=4,
        dimension=64,
        decoder_strides=STRIDES[name][::-1],
        decoder_channels=48,
        num_codebooks=COUNTS[name],
    )
    built = scatter(DACNetwork(config)).eval()
    with torch.no_grad():
        latents = built.encoder(speech(16000, 6))
    draw_codebooks(built.quantizer.stages, built.quantizer.strides, latents)
    return built


def original_state(built, parametrized=False):
    """Under the keys of the original code, with weight normalisation in either spelling."""
    generator = torch.Generator().manual_seed(1)
    gain, direction = ("weight_g", "weight_v")
    if parametrized:
        gain, direction = (f"parametrizations.weight.original{i}" for i in (0, 1))
    state = {}
    for key, tensor in built.state_dict().items():
        name = re.sub(r"\bstages\.", "quantizers.", key)
        name = re.sub(r"\.layers(?=\.)", ".block", name)
        name = re.sub(r"^decoder\.block", "decoder.model", name)
        if name.endswith(".codebook"):
            state[f"{name}.weight"] = tensor
        elif name.endswith(".weight") and tensor.ndim == 3:
            scale = torch.rand(len(tensor), 1, 1, generator=generator) + 0.5
            norm = tensor.pow(2).sum((1, 2), keepdim=True).sqrt()
            state |= {name[:-6] + direction: tensor * scale, name[:-6] + gain: norm}
        else:
            state[name] = tensor
    return state


def save_original(built, path):
    """As `dac.DAC.save(path, package=False)` writes it."""
    config = built.config
    kwargs = {
        "encoder_dim": config.num_filters,
        "encoder_rates": list(config.strides),
        "latent_dim": None,
        "decoder_dim": config.decoder_channels,
        "decoder_rates": list(config.decoder_strides),
        "n_codebooks": config.num_codebooks,
        "codebook_size": config.codebook_size,
        "codebook_dim": config.codebook_dim,
        "quantizer_dropout": 0.5,
        "sample_rate": 16000,
    }
    torch.save({"state_dict": original_state(built), "metadata": {"kwargs": kwargs}}, path)
    return path
