"""A tiny WavTokenizer with random weights, and its state dict under the official names."""

import re

import torch

from audiotok.nn.wavtokenizer import WavTokenizerConfig, WavTokenizerNetwork

CONFIG = WavTokenizerConfig(
    sample_rate=24000,
    strides=(2, 1, 3, 2),
    dimension=6,
    codebook_size=50,
    num_filters=2,
    num_lstm_layers=2,
    backbone_dim=64,
    backbone_intermediate_dim=40,
    backbone_layers=2,
    num_conditions=4,
)


def network(seed=0):
    """Every parameter random, so that none can be left out unseen; codebook from latents."""
    generator = torch.Generator().manual_seed(seed)
    built = WavTokenizerNetwork(CONFIG).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            fan_in = max(1, parameter[0].numel()) if parameter.ndim > 1 else 10
            parameter.copy_(noise / fan_in**0.5)
        for block in built.backbone.convnext:
            block.norm.scale.weight.add_(1)
        noise = torch.randn(1, 1, 12 * 400, generator=generator)
        latents = built.encoder(noise)[0].T
        built.quantizer.codebook.copy_(latents[torch.randperm(400, generator=generator)[:50]])
    return built


def official_state(built):
    """As an official Lightning checkpoint holds it, what encode and decode do not use included."""
    generator = torch.Generator().manual_seed(1)
    state = {}
    encoder = "feature_extractor.encodec.encoder.model."
    for key, tensor in built.state_dict().items():
        if key == "quantizer.codebook":
            prefix = "feature_extractor.encodec.quantizer.vq.layers.0._codebook."
            state |= {prefix + "embed": tensor, prefix + "embed_avg": tensor * 3}
            state |= {prefix + "cluster_size": torch.ones(50), prefix + "inited": torch.ones(1)}
        elif key.startswith("head."):
            state[key.replace("head.linear", "head.out")] = tensor
        elif key.startswith("encoder.") and ".lstm." not in key:
            name = re.sub(r"encoder\.layers\.(.*)\.(\w+)", encoder + r"\1.conv.conv.\2", key)
            if key.endswith(".weight"):
                gain = torch.rand(len(tensor), 1, 1, generator=generator) + 0.5
                norm = tensor.pow(2).sum((1, 2), keepdim=True).sqrt()
                state |= {name + "_v": tensor * gain, name + "_g": norm}
            else:
                state[name] = tensor
        else:
            state[key.replace("encoder.layers.", encoder)] = tensor
    state["head.istft.window"] = torch.hann_window(4 * 12)
    state["feature_extractor.encodec.decoder.model.0.conv.conv.bias"] = torch.zeros(2)
    state["multiperioddisc.discriminators.0.convs.0.bias"] = torch.zeros(2)
    return state
