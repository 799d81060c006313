"""Files of tiny codecs of every family with random weights, written once, and names to load them
by."""

import json

import torch

from audiotok.codec import checkpoints
from audiotok.training import families
from support import tiny_snac

SEANET = {"sample_rate": 8000, "strides": [2, 4, 5], "num_filters": 2}
SIZES = {
    "wavtokenizer": SEANET
    | {"dimension": 8, "codebook_size": 16, "num_lstm_layers": 1, "num_conditions": 1}
    | {"backbone_dim": 32, "backbone_intermediate_dim": 32, "backbone_layers": 1},
    "mini": SEANET
    | {"dimension": 8, "num_lstm_layers": 1}
    | {"backbone_dim": 64, "backbone_intermediate_dim": 32, "backbone_layers": 1}
    | {"quantizer": {"kind": "rvq", "num_codebooks": 2, "codebook_size": 16}},
    "encodec": SEANET
    | {"dimension": 8, "num_lstm_layers": 1, "causal": True, "num_codebooks": 3}
    | {"codebook_size": 16},
    "dac": SEANET
    | {"dimension": 8, "decoder_strides": [5, 4, 2], "decoder_channels": 16}
    | {"num_codebooks": 3, "codebook_size": 16, "codebook_dim": 4},
    "lm-spt": {
        "sample_rate": 8000,
        "encoder": {"kind": "dac", "strides": [2, 4, 5], "num_filters": 2},
        "dimension": 8,
        "decoder": {"kind": "dac", "strides": [5, 4, 2], "channels": 16},
        "auxiliary_decoder": {"kind": "dac", "strides": [8, 5, 2], "channels": 8},
        "semantic_codebook_size": 16,
        "acoustic_codebook_size": 16,
        "num_acoustic_codebooks": 2,
        "codebook_dim": 4,
    },
}


def write(folder, kind):
    """The name of a tiny codec, and its checkpoint or None; files lie in `folder`."""
    if kind in SIZES:
        return str(_trained(folder / f"{kind}.safetensors", kind)), None
    if kind == "snac":
        return "snac-24k", tiny_snac.save("snac-24k", folder)
    return f"hf:{_of_transformers(folder, kind)}", None


@torch.no_grad()
def _trained(path, family):
    torch.manual_seed(1)
    config = families.config_class(family).model_validate(SIZES[family])
    network = families.build(family, config)
    if "decoder_strides" in str(SIZES[family]) or family == "lm-spt":
        for layer in network.modules():  # DAC's start so small that all sounds get one code
            if isinstance(layer, torch.nn.Conv1d):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    for name, tensor in network.state_dict().items():
        if "codebook" in name:
            tensor.normal_()
    metadata = {"family": family, "name": "tiny", "config": json.dumps(SIZES[family])}
    checkpoints.save(path, network.state_dict(), metadata)
    return path


@torch.no_grad()
def _of_transformers(folder, kind):
    import transformers

    torch.manual_seed(1)
    if kind == "mimi":
        sizes = {"hidden_size": 32, "num_filters": 4, "codebook_size": 64, "codebook_dim": 16}
        sizes |= {"vector_quantization_hidden_dimension": 16, "num_hidden_layers": 1}
        sizes |= {"intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2}
        config = transformers.MimiConfig(**sizes, num_quantizers=3, upsample_groups=32)
        model = transformers.MimiModel(config)
    elif kind == "dac-hf":
        sizes = {"encoder_hidden_size": 2, "decoder_hidden_size": 32, "n_codebooks": 3}
        model = transformers.DacModel(
            transformers.DacConfig(downsampling_ratios=(2, 4, 5, 8), **sizes)
        )
        for layer in model.encoder.modules():
            if isinstance(layer, torch.nn.Conv1d):
                torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    else:
        sizes = {"hidden_size": 16, "num_filters": 2, "codebook_size": 64, "codebook_dim": 16}
        config = transformers.EncodecConfig(**sizes, target_bandwidths=[1.5, 3.0])
        model = transformers.EncodecModel(config)
    for name, tensor in model.state_dict().items():
        if name.endswith(("embed", "embed_sum")):
            tensor.normal_()
        elif name.endswith("cluster_usage"):
            tensor.fill_(1)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    return folder
