"""A narrow NanoCodec with random weights, as a .nemo file."""

import copy
import functools
import io
import re
import tarfile

import torch
import yaml

from audiotok.nn.nanocodec import DecoderConfig, EncoderConfig, NanoCodecNetwork, QuantizerConfig
from support import official_weights

KINDS = {
    "audio_encoder": EncoderConfig,
    "audio_decoder": DecoderConfig,
    "vector_quantizer": QuantizerConfig,
}


@functools.cache
def network():
    parts = []
    for name, kind in KINDS.items():
        fields = {k: v for k, v in official_weights.NANO[name].items() if k != "_target_"}
        parts.append(kind(**fields))
    built = NanoCodecNetwork(*parts).eval()
    with torch.no_grad():
        for key, tensor in built.named_parameters():
            tensor.copy_(official_weights.weight(key, tensor.shape))
        latents = built.audio_encoder(official_weights.sound(22050, 2)[..., : 24 * 1764])
        last = built.audio_encoder.post_conv
        last.weight.div_(latents.std((0, 2))[:, None, None])
        last.bias.sub_(latents.mean((0, 2))).div_(latents.std((0, 2)))
    return built


def official(built):
    """Under NeMo's keys, with weights normalised, and what it saves beside the codec."""
    state = {"discriminator.x": torch.ones(2), "mel_loss_fn.fb": torch.ones(2)}
    for key, tensor in built.state_dict().items():
        name = re.sub(r"(res_blocks\.\d+)\.(\d)", r"\1.res_blocks.\2", key)
        name = re.sub(r"\.snake\.", ".activation.snake_act.", name)
        if name.endswith(".weight"):
            gain = tensor.flatten(1).norm(dim=1)[:, None, None]
            start = name.replace(".weight", ".conv.parametrizations.weight.original")
            state |= {f"{start}0": gain, f"{start}1": 0.7 * tensor}
        else:
            state[re.sub(r"\.bias$", ".conv.bias", name)] = tensor
    for group in range(4):
        start = f"vector_quantizer.fsqs.{group}."
        state[start + "num_levels"] = torch.tensor([9, 8, 8, 7], dtype=torch.int32)[None, :, None]
        steps = torch.tensor([1, 9, 72, 576], dtype=torch.int32)[None, :, None]
        state[start + "dim_base_index"] = steps
    return state


def pack(path, state, config):
    """A .nemo file of these."""
    weights = io.BytesIO()
    torch.save(state, weights)
    files = {"model_config.yaml": yaml.safe_dump(config).encode()}
    files["model_weights.ckpt"] = weights.getvalue()
    with tarfile.open(path, "w:") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def save(path, change=lambda state, config: None):
    """As NeMo saves it; `change` may spoil the state dict and the configuration."""
    state, config = official(network()), copy.deepcopy(official_weights.NANO)
    change(state, config)
    return pack(path, state, config)
