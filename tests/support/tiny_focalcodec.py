"""Narrow FocalCodecs with random weights, in both official formats."""

import functools
import json
import re

import torch
from safetensors.torch import save_file

from audiotok.nn.focalcodec import FocalCodecConfig, FocalCodecNetwork
from support import official_weights

CONFIGS = official_weights.FOCAL


@functools.cache
def network(name):
    """Each bit of the codes is about as often 0 as 1."""
    built = FocalCodecNetwork(FocalCodecConfig(**CONFIGS[name])).eval()
    last = built.compressor.out_proj
    with torch.no_grad():
        for key, tensor in built.named_parameters():
            tensor.copy_(official_weights.weight(key, tensor.shape))
        hidden = built.encoder(official_weights.sound(16000, 4)[..., :-240])
        for layer in built.compressor.layers:
            hidden = layer["focal_block"](layer["downscale"](hidden))
        rows = last(hidden.mT)[0]
        last.weight.div_(rows.std(0)[:, None])
        last.bias.sub_(rows.mean(0)).div_(rows.std(0))
    return built


def save(name, folder, change=lambda state, config: None):
    """As on the Hub; `change` may spoil the state dict and the configuration."""
    state = {key: tensor.clone() for key, tensor in network(name).state_dict().items()}
    config = json.loads(json.dumps(CONFIGS[name]))
    change(state, config)
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def save_first_version(name, folder):
    """As version 0.0.1 named the weights: projections apart, layers by their numbers."""
    state = {"quantizer.mask": torch.ones(13), "encoder.encoder.norm.weight": torch.ones(16)}
    for key, tensor in network(name).state_dict().items():
        down = re.match(r"compressor\.layers", key)
        numbers = (".downscale.", ".focal_block.") if down else (".focal_block.", ".upscale.")
        if ".qkv_proj." in key:
            for each, part in zip("qkv", tensor.chunk(3), strict=True):
                state[key.replace("qkv_", f"{each}_")] = part.contiguous()
            continue
        match = re.match(r"(\w+\.layers\.\d+)(\.(?:downscale|focal_block|upscale)\.)(.*)", key)
        state[f"{match[1]}.{numbers.index(match[2])}.{match[3]}" if match else key] = tensor
    torch.save(state, folder / "model.pt")
    config = json.loads(json.dumps(CONFIGS[name]))
    config["decoder_config"]["input_channels"] = config["decoder_config"].pop("input_dim")
    (folder / "model.json").write_text(json.dumps(config | {"encoder_name": "WavLM"}))
    return folder / "model.pt"
