"""Weights and sound that a seed gives anywhere, for golden values of other people's packages.

They come from NumPy's RandomState, whose streams do not change between versions.
"""

import zlib

import numpy as np
import torch

# {golden file: codec, configuration of the official network}
CASES = {
    "dac": (
        "dac-44k",
        {
            "encoder_dim": 4,
            "encoder_rates": [2, 4, 8, 8],
            "decoder_dim": 32,
            "decoder_rates": [8, 8, 4, 2],
            "n_codebooks": 9,
            "sample_rate": 44100,
        },
    ),
    "snac": (
        "snac-24k",
        {
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
        },
    ),
    "speechtokenizer": (
        "speechtokenizer-hubert-avg",
        {
            "n_filters": 4,
            "strides": [8, 5, 4, 2],
            "dimension": 16,
            "semantic_dimension": 16,
            "bidirectional": True,
            "dilation_base": 2,
            "residual_kernel_size": 3,
            "n_residual_layers": 1,
            "lstm_layers": 2,
            "activation": "ELU",
            "codebook_size": 1024,
            "n_q": 8,
            "sample_rate": 16000,
        },
    ),
}


def noise(name, shape):
    """Normal numbers that the name of a tensor alone decides, float64."""
    return np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))


def weight(name, shape):
    """A weight of a network, such that sound keeps about its level from layer to layer."""
    values = noise(name, shape)
    quiet = 0.3 if "out_proj" in name else 1
    if name.endswith("alpha") and len(shape) == 3:  # not a logarithm, as in BigCodec
        values = 0.3 + np.abs(values)
    elif name.endswith(("original0", "weight_g")):
        values = (0.5 + 0.2 * np.abs(values)) * quiet
    elif len(shape) > 1:
        values = values * quiet / np.sqrt(2 * np.prod(shape[1:]))
    else:
        values = 0.1 * values
    return torch.from_numpy(values).float()


def codebook(name, shape, mean, root):
    """Codewords (V, D) with this mean (D,), and covariance `root @ root.T`, (D, D)."""
    values = noise(name, shape) @ root.double().numpy().T + mean.double().numpy()
    return torch.from_numpy(values).float()


def state(kept, shapes, size):
    """The state dict of a golden file: by seed, but for what `kept` holds.

    Args:
        kept: tensors of the file: "weight NAME" as they are; "mean NAME" and "root NAME" of a
            codebook.
        shapes: of the tensors by seed, by name.
        size: codewords of each codebook.
    """
    tensors = {key: weight(key, shape) for key, shape in shapes.items()}
    for key, tensor in kept.items():
        kind, _, name = key.partition(" ")
        if kind == "weight":
            tensors[name] = tensor
        elif kind == "mean":
            tensors[name] = codebook(name, (size, len(tensor)), tensor, kept[f"root {name}"])
    return tensors


def sound(sample_rate, seconds):
    """Something like speech (1, 1, L): a gliding buzz under slow loudness, with noise."""
    count = round(sample_rate * seconds)
    time = np.arange(count) / sample_rate
    phase = 2 * np.pi * np.cumsum(120 + 60 * np.sin(2 * np.pi * 0.9 * time)) / sample_rate
    buzz = sum(np.sin(k * phase + np.cos(2 * np.pi * k * time)) / k for k in range(1, 20))
    loudness = 0.1 + 0.1 * np.sin(2 * np.pi * 3.1 * time)
    waveform = loudness * (buzz + 0.5 * noise("sound", (count,)))
    return torch.from_numpy(waveform).float()[None, None]
