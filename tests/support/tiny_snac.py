"""A narrow SNAC with random weights, in the official format."""

import functools
import json
import re

import torch

from audiotok.codecs.snac import OfficialConfig
from audiotok.nn.snac import SNACNetwork
from support.stack_parity import contrast, draw_codebooks, scatter, speech

PLAIN = {
    "sampling_rate": 24000,
    "encoder_dim": 4,
    "encoder_rates": [2, 4, 8, 8],
    "decoder_dim": 32,
    "decoder_rates": [8, 8, 4, 2],
    "attn_window_size": None,
    "codebook_size": 4096,
    "codebook_dim": 8,
    "vq_strides": [4, 2, 1],
    "noise": True,
    "depthwise": True,
}
ATTENDING = PLAIN | {
    "sampling_rate": 32000,
    "encoder_dim": 8,
    "encoder_rates": [2, 3, 8, 8],
    "decoder_dim": 64,
    "decoder_rates": [8, 8, 3, 2],
    "attn_window_size": 32,
    "vq_strides": [8, 4, 2, 1],
}
CONFIGS = {"snac-24k": PLAIN, "snac-32k": ATTENDING}


@functools.cache
def network(name):
    """Codebooks are drawn from latents of speech."""
    config = CONFIGS[name]
    built = scatter(SNACNetwork(OfficialConfig(**config).to_config())).eval()
    waveform, unit = speech(config["sampling_rate"], 12), built.config.unit * built.hop_length
    waveform = waveform[..., : waveform.shape[-1] // unit * unit]
    latents = contrast(built.encoder, built.encoder.layers[-1], waveform)
    draw_codebooks(built.quantizer.stages, built.quantizer.strides, latents)
    return built


def official_state(built, gain="weight_g", direction="weight_v"):
    """Under the official keys, with weight normalisation in the spelling asked for."""
    generator = torch.Generator().manual_seed(1)
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
        if name.endswith(".to_qkv.weight"):
            frequencies = 1.0 / (10000 ** (torch.arange(0, 64, 2).float() / 64))
            state[name.replace("to_qkv.weight", "rel_pos.inv_freq")] = frequencies
    return state


def save(name, folder):
    """A folder as on the Hub: pytorch_model.bin, and config.json beside it."""
    built, config = network(name), CONFIGS[name]
    spelling = ("parametrizations.weight.original0", "parametrizations.weight.original1")
    torch.save(official_state(built, *spelling), folder / "pytorch_model.bin")
    (folder / "config.json").write_text(json.dumps(config))
    return folder
