"""Weights and sound that a seed gives anywhere, for golden values of other people's packages.

They come from NumPy's RandomState, whose streams do not change between versions.
"""

import zlib

import numpy as np
import torch


def focal(causal, scale):
    """The configuration of a narrow FocalCodec, as in its `config.json`."""
    causal, bits = {"causal": causal}, 12 if causal else 13
    focal = {"focal_window": 7, "focal_factor": 2, "use_layerscale": not scale % 2} | causal
    return {
        "encoder_name": "WavLM",
        "encoder_config": {
            "hidden_dims": [8] * 7,
            "num_layers": 2,
            "dim": 16,
            "ffn_dim": 32,
            "num_heads": 2,
            "conv_pos_groups": 2,
            "num_buckets": 32,
            "max_distance": 80,
        }
        | causal,
        "compressor_name": "FocalEncoder",
        "compressor_config": {
            "input_dim": 16,
            "output_dim": bits,
            "hidden_dims": [16, 8],
            "downscale_factors": [scale, 1],
        }
        | focal,
        "quantizer_name": "BinarySphericalQuantizer",
        "quantizer_config": {"codebook_size": 2**bits},
        "decompressor_name": "FocalDecoder",
        "decompressor_config": {
            "input_dim": bits,
            "output_dim": 16,
            "hidden_dims": [8, 16],
            "upscale_factors": [1, scale],
        }
        | focal,
        "decoder_name": "WaveNeXt" if causal["causal"] else "Vocos",
        "decoder_config": {"input_dim": 16, "num_layers": 2, "dim": 8, "ffn_dim": 16} | causal,
    }


FOCAL = {"focalcodec-25": focal(False, 2), "focalcodec-stream-4k": focal(True, 1)}

# The parts of a narrow NanoCodec, as in NeMo's `model_config.yaml`
_NEMO = "nemo.collections.tts.modules.audio_codec_modules."
NANO = {
    "sample_rate": 22050,
    "samples_per_frame": 1764,
    "audio_encoder": {
        "_target_": _NEMO + "HiFiGANEncoder",
        "down_sample_rates": [2, 3, 6, 7, 7],
        "encoded_dim": 16,
        "base_channels": 2,
        "activation": "lrelu",
        "pad_mode": "replicate",
    },
    "audio_decoder": {
        "_target_": _NEMO + "CausalHiFiGANDecoder",
        "up_sample_rates": [7, 7, 6, 3, 2],
        "input_dim": 16,
        "base_channels": 64,
        "activation": "half_snake",
        "output_activation": "clamp",
        "pad_mode": "zeros",
        "n_groups_equal_to_out_channels": True,
    },
    "vector_quantizer": {
        "_target_": _NEMO + "GroupFiniteScalarQuantizer",
        "num_groups": 4,
        "num_levels_per_group": [9, 8, 8, 7],
    },
}

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
    elif name.endswith("weight"):  # of a norm
        values = 1 + 0.1 * values
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
