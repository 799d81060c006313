"""Narrow S3Tokenizers by seed: state dicts of the package, and the official ONNX format."""

import re

import torch

from support.official_weights import codebook, weight

CHANNELS, MELS, LAYERS = 64, 128, 2
SIZES = {"n_audio_state": CHANNELS, "n_audio_head": 1, "n_audio_layer": LAYERS}
# What the exported files call the tensors that have names of their own.
_NAMES = {
    "encoder.conv1.weight": "encoders.conv1.weight",
    "encoder.conv1.bias": "encoders.conv1.bias",
    "encoder.conv2.weight": "encoders.conv2.weight",
    "encoder.conv2.bias": "encoders.conv2.bias",
    "encoder.positional_embedding": "encoders.positional_embedding",
    "quantizer._codebook.project_down.bias": "quantizer.project_in.bias",
    "quantizer._codebook.project_down.weight": "onnx::MatMul_2536",
}


def shapes(version):
    """{key: shape} of the network without its quantizer."""
    linear = {"query": True, "key": False, "value": True, "out": True}
    found = {"encoder.conv1.weight": (CHANNELS, MELS, 3), "encoder.conv1.bias": (CHANNELS,)}
    found |= {"encoder.conv2.weight": (CHANNELS, CHANNELS, 3), "encoder.conv2.bias": (CHANNELS,)}
    for n in range(LAYERS):
        block = f"encoder.blocks.{n}"
        for name, biased in linear.items():
            found[f"{block}.attn.{name}.weight"] = (CHANNELS, CHANNELS)
            if biased:
                found[f"{block}.attn.{name}.bias"] = (CHANNELS,)
        if version > 1:
            found[f"{block}.attn.fsmn_block.weight"] = (CHANNELS, 1, 31)
        for place, wide in ((0, (4, 1)), (2, (1, 4))):
            found[f"{block}.mlp.{place}.weight"] = tuple(CHANNELS * w for w in wide)
            found[f"{block}.mlp.{place}.bias"] = (CHANNELS * wide[0],)
        for norm in "attn_ln", "mlp_ln":
            found[f"{block}.{norm}.weight"] = found[f"{block}.{norm}.bias"] = (CHANNELS,)
    return found


def state(version):
    """Weights by the names of the tensors, the same anywhere; without the quantizer."""
    made = {}
    for key, shape in shapes(version).items():
        tensor = weight(f"s3 v{version} {key}", shape)
        made[key] = 1 + tensor if "_ln.weight" in key else tensor * 1.4
    if version == 1:
        half = torch.arange(CHANNELS // 2)
        rates = torch.exp(-torch.log(torch.tensor(10_000.0)) / (CHANNELS // 2 - 1) * half)
        angles = torch.arange(1500)[:, None] * rates
        made["encoder.positional_embedding"] = torch.cat([angles.sin(), angles.cos()], 1)
    return made


def write_onnx(path, tensors, version):
    """The official format: initializers, and nodes whose names say what they multiply and add."""
    import onnx
    from onnx import helper, numpy_helper

    nodes, initializers = [], []

    def add(operation, name, tensor, initializer=None, norm=()):
        names = []
        for number, one in enumerate([tensor, *norm]):
            names.append(initializer or f"onnx::{name}_{number}")
            array = one.detach().contiguous().numpy()
            initializers.append(numpy_helper.from_array(array, names[-1]))
        nodes.append(helper.make_node(operation, ["x", *names], ["y"], name=name))

    for key, tensor in tensors.items():
        given = _NAMES.get(key)
        if key == "quantizer._codebook.embed":
            add("Pow", "/quantizer/rq/model/layers.0/_codebook/Pow_1", tensor.T)
        elif "project_down.weight" in key:
            add("MatMul", "/quantizer/project_in/MatMul", tensor.T, given)
        elif "conv" in key:
            if key.endswith("weight"):
                name = "/conv1/Conv" if "conv1" in key else "/conv2/Conv"
                names = [given, _NAMES[key.replace("weight", "bias")]]
                pair = [tensor, tensors[key.replace("weight", "bias")]]
                initializers += [
                    numpy_helper.from_array(t.contiguous().numpy(), n)
                    for t, n in zip(pair, names, strict=True)
                ]
                nodes.append(helper.make_node("Conv", ["x", *names], ["y"], name=name))
        elif given is not None:
            add("Add", f"/{given}", tensor, given)
        else:
            _block(add, key, tensor, tensors, version)
    graph = helper.make_graph(nodes, "s3", [], [], initializers)
    onnx.save(helper.make_model(graph), str(path))
    return path


def _block(add, key, tensor, tensors, version):
    number, part, kind = re.fullmatch(r"encoder\.blocks\.(\d+)\.(.+)\.(weight|bias)", key).groups()
    place = f"/blocks.{number}/" + part.replace(".", "/").replace("mlp/", "mlp/mlp.")
    if part.endswith("_ln"):
        if version == 2:
            if kind == "weight":
                bias = tensors[key.replace("weight", "bias")]
                add("LayerNormalization", f"{place}/LayerNormalization", tensor, norm=[bias])
        elif kind == "weight":
            add("Mul", f"{place}/Mul", tensor)
        else:
            add("Add", f"{place}/Add_1", tensor)
    elif "fsmn_block" in part:
        initializer = f"blocks.{number}.attn.fsmn_block.weight"
        add("Conv", f"{place}/Conv", tensor, initializer if version == 3 else None)
    elif kind == "weight":
        add("MatMul", f"{place}/MatMul", tensor.T)
    else:
        add("Add", f"{place}/Add", tensor)


def official(name):
    """The narrow network of the package, for "v1", "v1-25hz", "v2" or "v3"."""
    from s3tokenizer import S3Tokenizer, S3TokenizerV2, S3TokenizerV3, model, model_v2, model_v3

    made, config = {
        1: (S3Tokenizer, model.ModelConfig),
        2: (S3TokenizerV2, model_v2.ModelConfig),
        3: (S3TokenizerV3, model_v3.ModelConfigV3),
    }[int(name[1])]
    return made(f"speech_tokenizer_{name.replace('-', '_')}", config(**SIZES)).eval()


def quantizer(name, kept):
    """The quantizer's part of a state dict, from what a golden file keeps of it."""
    if name.startswith("v1"):
        mean, root = kept[f"{name} mean"], kept[f"{name} root"]
        table = codebook(f"s3 {name}", (4096, CHANNELS), mean, root)
        return {"quantizer._codebook.embed": table}
    place = "quantizer._codebook.project_down"
    return {f"{place}.{kind}": kept[f"{name} {kind}"] for kind in ("weight", "bias")}
