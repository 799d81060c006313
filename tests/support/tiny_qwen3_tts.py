"""A narrow tokenizer of Qwen3-TTS by seed, in the official format: config.json and weights."""

import json

import torch
from safetensors.torch import save_file

from support import official_weights

ENCODER = {
    "num_filters": 4,
    "hidden_size": 48,
    "codebook_dim": 24,
    "vector_quantization_hidden_dimension": 24,
    "num_hidden_layers": 2,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "upsample_groups": 48,
}
DECODER = {
    "latent_dim": 32,
    "hidden_size": 32,
    "codebook_dim": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 48,
    "decoder_dim": 32,
    "sliding_window": 9,
}
CODEBOOK = "quantizer.{}_residual_vector_quantizer.layers.{}.codebook"


def codebook_keys():
    """The keys of the 16 codebooks that are used: (of the encoder, of the decoder)."""
    for k in range(16):
        kind, place, number = ("acoustic", "rest", k - 1) if k else ("semantic", "first", 0)
        ours = f"decoder.quantizer.rvq_{place}.vq.layers.{number}._codebook"
        yield "encoder." + CODEBOOK.format(kind, number), ours


def tensor(key, shape):
    """The weight of that name, the same anywhere; codebooks are only noise."""
    name = f"qwen3 {key}"
    if len(shape) > 1:
        values = official_weights.weight(name, shape)
    else:
        values = torch.from_numpy(0.1 * official_weights.noise(name, shape)).float()
    if key.endswith((".alpha", ".beta")):  # logarithms
        return 0.1 * torch.from_numpy(official_weights.noise(key, shape)).float()
    if key.endswith("initialized"):
        return torch.ones(shape)
    if key.endswith("cluster_usage"):
        return 0.5 + values.abs()
    if key.endswith(("layer_scale.scale", "gamma")):
        return 0.3 + values.abs()
    if key.endswith(("norm.weight", "layernorm.weight")):
        return 1 + values
    if key.startswith("decoder.decoder.") and (".conv2." in key or ".6." in key):
        values = values / (60 if ".6." in key else 10)  # else the sound is clamped
    return values * (2 if len(shape) > 1 else 1)


def with_codebooks(state, vectors):
    """The state dict with these codewords, 16 of (V, D), in encoder and decoder."""
    for (encoder, decoder), table in zip(codebook_keys(), vectors, strict=True):
        for place, name in ((encoder, "embed_sum"), (decoder, "embedding_sum")):
            state[f"{place}.{name}"] = table * state[f"{place}.cluster_usage"][:, None]
    return state


def write(folder, kept, shapes):
    """The official files, from what a golden file keeps of the codebooks, and all shapes."""
    state = {key: tensor(key, shape) for key, shape in shapes.items()}
    tables = [
        official_weights.codebook(f"qwen3 {k}", (2048, 24), kept[f"mean {k}"], kept[f"root {k}"])
        for k in range(16)
    ]
    state = {key: one.contiguous() for key, one in with_codebooks(state, tables).items()}
    config = {
        "model_type": "qwen3_tts_tokenizer_12hz",
        "encoder_config": ENCODER | {"model_type": "mimi"},
        "decoder_config": DECODER,
    }
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(state, folder / "model.safetensors")
    return folder
