"""A narrow BigCodec with random weights, in the official format."""

import functools
import re

import torch

from audiotok.nn.alias_free import low_pass
from audiotok.nn.bigcodec import BigCodecConfig, BigCodecNetwork
from support.stack_parity import contrast, draw_codebooks, scatter, speech

SIZES = BigCodecConfig(num_filters=2, dimension=32, decoder_channels=64)


@functools.cache
def network():
    """The codebook is drawn from latents of speech."""
    built = scatter(BigCodecNetwork(SIZES)).eval()
    latents = contrast(built.encoder, built.encoder[-1], speech(16000, 6))
    draw_codebooks(built.quantizer.stages, (1,), latents)
    return built


def official(built):
    """The two state dicts of `bigcodec.pt`, with filters and with weights normalised."""
    parts = {"CodecEnc": {}, "generator": {}}
    for key, tensor in built.state_dict().items():
        half, name = key.split(".", 1)
        part = parts["CodecEnc" if half == "encoder" else "generator"]
        name = name.replace("layers.", "block.")
        if half == "quantizer":
            name = f"quantizer.{name}".replace("stages", "layers")
        else:
            name = {"encoder": "block.", "decoder": "model."}[half] + name
        if match := re.fullmatch(r"(.*)\.(alpha|beta)", name):
            part[f"{match[1]}.act.{match[2]}"] = tensor
            for filtered in ("upsample.filter", "downsample.lowpass.filter"):
                part[f"{match[1]}.{filtered}"] = low_pass()[None, None]
        elif name.endswith(".codebook"):
            part[f"{name[:-8]}_codebook.weight"] = tensor
        elif name.endswith(".weight"):
            linear = "_proj." in name
            direction = tensor[..., 0] if linear else tensor
            gain = direction.flatten(1).norm(dim=1).view(-1, *(1,) * (direction.ndim - 1))
            part |= {f"{name}_v": 0.7 * direction, f"{name}_g": gain}
        else:
            part[name] = tensor
    return parts


def save(path, change=lambda parts: None):
    """As `torch.save` wrote the official file; `change` may spoil the two state dicts."""
    parts = official(network())
    change(parts)
    torch.save(parts, path)
    return path
