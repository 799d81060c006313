"""Writes golden/CODEC.safetensors: what official code gave for weights and sound by seed.

    python tests/official/make_golden_repositories.py bigcodec CHECKOUT

CHECKOUT is a clone of the repository; the file says which commit. For official code that is no
package; `make_golden.py` does the same for packages and says what a file holds.
"""

import datetime
import importlib
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import numpy as np
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import official_weights

FOLDER = Path(__file__).with_name("golden")
SECONDS, SAMPLES = 4, 4000


@torch.no_grad()
def main(name, checkout):
    sys.path.insert(0, checkout)
    kept, about = MAKERS[name]()
    git = ["git", "-C", checkout]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    about |= {
        "commit": commit.stdout.strip(),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
    }
    print(name, about["commit"], {k: tuple(v.shape) for k, v in kept.items()})
    print("distinct codes:", kept["codes 0"].unique().numel())
    tensors = {k: v.contiguous().clone() for k, v in kept.items()}
    save_file(tensors, FOLDER / f"{name}.safetensors", about)


def drawn(module, prefix=""):
    """Fills the weights of a module by seed; {name with the prefix: shape} of what was filled."""
    shapes = {}
    for key, tensor in module.named_parameters():
        if "codebook" not in key:
            shapes[prefix + key] = list(tensor.shape)
            tensor.copy_(official_weights.weight(prefix + key, tensor.shape))
    return shapes


def normalise(latents, gain, bias):
    """Sets the last layer so that each channel of its output (B, D, T) has mean 0, variance 1."""
    mean, spread = latents.mean((0, 2)), latents.std((0, 2))
    gain.div_(spread.view(-1, *(1,) * (gain.ndim - 1)))
    bias.sub_(mean).div_(spread)


def bigcodec():
    encoder = importlib.import_module("vq.codec_encoder").CodecEncoder(ngf=4, out_channels=64)
    decoder = importlib.import_module("vq.codec_decoder").CodecDecoder(
        in_channels=64, vq_dim=64, upsample_initial_channel=64
    )
    encoder.eval(), decoder.eval()
    shapes = drawn(encoder, "CodecEnc.") | drawn(decoder, "generator.")
    waveform, last = official_weights.sound(16000, SECONDS), encoder.block[-1]
    normalise(encoder(waveform), last.weight_g, last.bias)
    latents = encoder(waveform)
    stage = decoder.quantizer.layers[0]
    rows = stage.in_proj(latents[0].T)
    mean, spread = rows.mean(0), np.cov(rows.double().numpy().T)
    root = torch.from_numpy(np.linalg.cholesky(spread + 1e-6 * np.eye(len(spread)))).float()
    name, table = "generator.quantizer.layers.0._codebook.weight", stage.codebook.weight
    table.copy_(official_weights.codebook(name, table.shape, mean, root))
    quantized, codes, _ = decoder(latents, vq=True)
    sound = decoder(quantized, vq=False)
    kept = {
        "weight CodecEnc.block.8.weight_g": last.weight_g,
        "weight CodecEnc.block.8.bias": last.bias,
        f"mean {name}": mean,
        f"root {name}": root,
        "filter": encoder.block[-2].upsample.filter.flatten(),
        "codes 0": codes[0, 0].to(torch.int16),
        "latents": latents[0, :, :64],
        "sound": sound[0, 0, :SAMPLES],
    }
    return kept, {"shapes": json.dumps(shapes), "peak": repr(float(sound.abs().max()))}


def focalcodec(name):
    codec = importlib.import_module("focalcodec").FocalCodec(**official_weights.FOCAL[name]).eval()
    shapes = drawn(codec)
    codec.load_state_dict(codec.state_dict())  # computes what it keeps of the weights
    waveform = official_weights.sound(16000, 2 * SECONDS)
    if not codec.causal:  # to the frames that the sound has
        waveform = torch.nn.functional.pad(waveform, (0, 80))
    features, last = codec.sig_to_feats(waveform[:, 0]), codec.compressor.out_proj
    normalise(codec.compressor(features)[0].mT, last.weight, last.bias)
    latents = codec.feats_to_lats(features)
    codes = codec.lats_to_toks(latents)
    sound = codec.toks_to_sig(codes)
    kept = {
        "weight compressor.out_proj.weight": last.weight,
        "weight compressor.out_proj.bias": last.bias,
        "codes 0": codes[0].to(torch.int16),
        "latents": latents[0].mT,
        "sound": sound[0, :SAMPLES],
    }
    return kept, {"shapes": json.dumps(shapes), "peak": repr(float(sound.abs().max()))}


def nanocodec():
    """NeMo's modules alone, without its checks of types: the package needs more than they do."""
    for module in ("asr.modules", "core.classes.common", "core.classes.module", "utils"):
        path = module if module.startswith(("core", "utils")) else f"collections.{module}"
        sys.modules[f"nemo.{path}"] = MagicMock()
    sys.modules["transformers"] = MagicMock()  # of its discriminators
    for module in ("elements", "neural_type"):
        sys.modules[f"nemo.core.neural_types.{module}"] = MagicMock()
    sys.modules["nemo.core.classes.common"].typecheck = lambda **_: lambda function: function
    sys.modules["nemo.core.classes.module"].NeuralModule = torch.nn.Module
    for package in ("nemo", "nemo.collections", "nemo.collections.common"):
        sys.modules[package] = ModuleType(package)  # its __init__ imports all of NeMo
        sys.modules[package].__path__ = [str(Path(sys.path[0], *package.split(".")))]
    for package in ("common.parts", "tts", "tts.modules"):
        name = f"nemo.collections.{package}"
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(Path(sys.path[0], *name.split(".")))]
    modules = importlib.import_module("nemo.collections.tts.modules.audio_codec_modules")

    def made(part):
        sizes = dict(official_weights.NANO[part])
        return getattr(modules, sizes.pop("_target_").rpartition(".")[2])(**sizes).eval()

    encoder, decoder, quantizer = map(made, ("audio_encoder", "audio_decoder", "vector_quantizer"))
    shapes = drawn(encoder, "audio_encoder.") | drawn(decoder, "audio_decoder.")
    waveform = official_weights.sound(22050, 2 * SECONDS)[:, 0]
    length, last = torch.tensor([waveform.shape[-1]]), encoder.post_conv.conv
    gain = last.parametrizations.weight.original0
    normalise(encoder(audio=waveform, audio_len=length)[0], gain, last.bias)
    latents, frames = encoder(audio=waveform, audio_len=length)
    codes = quantizer.encode(inputs=latents, input_len=frames)
    quantized = quantizer.decode(indices=codes, input_len=frames)
    sound = decoder(inputs=quantized, input_len=frames)[0]
    kept = {
        "weight audio_encoder.post_conv.conv.parametrizations.weight.original0": gain,
        "weight audio_encoder.post_conv.conv.bias": last.bias,
        "latents": latents[0],
        "sound": sound[0, :SAMPLES],
    }
    kept |= {f"codes {k}": row[0].to(torch.int16) for k, row in enumerate(codes)}
    return kept, {"shapes": json.dumps(shapes), "peak": repr(float(sound.abs().max()))}


MAKERS = {"bigcodec": bigcodec, "nanocodec": nanocodec} | {
    name: partial(focalcodec, name) for name in official_weights.FOCAL
}

if __name__ == "__main__":
    main(*sys.argv[1:])
