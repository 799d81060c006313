"""HuBERT and WavLM of transformers: hidden states of chosen layers, one vector per frame."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.codec import checkpoints
from audiotok.codecs._transformers import build, known_class, make_config, read_config
from audiotok.errors import CodecError

MODELS = {"hubert": "HubertModel", "wavlm": "WavLMModel"}
_UNUSED = ("masked_spec_embed",)  # of training; a network may be without it


def read(weights: Path, kind: str, name: str) -> nn.Module:
    """The encoder with these weights, all of them, and the config.json beside them, in eval mode.

    Args:
        kind: one of MODELS.
        name: of the codec, for messages.
    """
    path = weights.with_name("config.json")
    config = make_config(read_config(path), MODELS[kind], path, name)
    state, _ = checkpoints.read_state(weights)
    return build(MODELS[kind], config, state, weights, _UNUSED).eval()


def drawn(kind: str, name: str, sizes: dict[str, Any]) -> nn.Module:
    """An encoder with random weights; `sizes` of its configuration, beside the defaults."""
    model = known_class(MODELS[kind], name)
    return model(model.config_class(**sizes)).eval()


class HiddenStates(nn.Module):
    """Hidden states of some layers; later layers are removed from the encoder.

    Args:
        encoder: HubertModel or WavLMModel.
        layers: rising numbers of hidden states; 0 is the input of the first layer.

    Raises:
        CodecError: the network has no such layer.
    """

    def __init__(self, encoder: nn.Module, layers: tuple[int, ...]):
        super().__init__()
        self.encoder, self.layers = encoder, layers
        config = encoder.config
        if layers[-1] > config.num_hidden_layers:
            raise CodecError(
                f"the network has layers 0 to {config.num_hidden_layers}, not {layers[-1]}"
            )
        # one layer more is kept: behind the last one, large networks have a layer norm
        encoder.encoder.layers = encoder.encoder.layers[: layers[-1] + 1]
        self.normalises = config.feat_extract_norm == "layer"
        self.hop_length = math.prod(config.conv_stride)
        self.receptive_field = 1
        for kernel, stride in zip(config.conv_kernel[::-1], config.conv_stride[::-1], strict=True):
            self.receptive_field = (self.receptive_field - 1) * stride + kernel

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveform (B, 1, L) -> hidden states of all layers, (B, K D, ceil(L / hop_length))."""
        sound, num_frames = waveform[:, 0], -(-waveform.shape[-1] // self.hop_length)
        if self.normalises:
            variance, mean = torch.var_mean(sound, -1, correction=0, keepdim=True)
            sound = (sound - mean) / (variance + 1e-7).sqrt()
        sound = F.pad(sound, (0, max(0, self.receptive_field - sound.shape[-1])))
        states = self.encoder(sound, output_hidden_states=True).hidden_states
        latents = torch.cat([states[layer] for layer in self.layers], -1).transpose(1, 2)
        missing = max(0, num_frames - latents.shape[-1])
        return F.pad(latents, (0, missing), mode="replicate")[..., :num_frames]
