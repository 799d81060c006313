"""Tiny HuBERT and WavLM with random weights, in folders as on the Hub, with centroids."""

import json

import numpy as np
import torch
import transformers

HUBERT = dict(
    hidden_size=16,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=32,
    conv_dim=(8,) * 7,
    num_conv_pos_embeddings=16,
    num_conv_pos_embedding_groups=4,
)
# As in the large networks: layer norms, and sound is normalised.
WAVLM = HUBERT | dict(feat_extract_norm="layer", do_stable_layer_norm=True)
CLASSES = {"hubert": ("Hubert", HUBERT), "wavlm": ("WavLM", WAVLM)}


def model(kind, **changes):
    name, sizes = CLASSES[kind]
    config = getattr(transformers, f"{name}Config")(**{**sizes, **changes})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return getattr(transformers, f"{name}Model")(config).eval()


def write(folder, kind, **changes):
    """config.json and pytorch_model.bin, with the names of keys that the files on the Hub have."""
    network = model(kind, **changes)
    folder.mkdir(exist_ok=True)
    config = network.config.to_dict() | {"model_type": kind}
    (folder / "config.json").write_text(json.dumps(config, default=str))
    old = {".parametrizations.weight.original0": ".weight_g"}
    old[".parametrizations.weight.original1"] = ".weight_v"
    state = {}
    for key, tensor in network.state_dict().items():
        for new, name in old.items():
            key = key.replace(new, name)
        state[key] = tensor.clone()
    torch.save(state, folder / "pytorch_model.bin")
    return network


def centroids(network, layers, size, waveform):
    """(K, V, D): some frames of a sound, each off."""
    states = network(waveform[:, 0], output_hidden_states=True).hidden_states
    generator = torch.Generator().manual_seed(1)
    found = []
    for layer in layers:
        rows = states[layer][0]
        chosen = rows[torch.randint(len(rows), (size,), generator=generator)]
        found.append(chosen + 0.2 * rows.std(0) * torch.randn(chosen.shape, generator=generator))
    return np.stack([one.detach().numpy() for one in found])
