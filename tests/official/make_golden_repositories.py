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
from pathlib import Path

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


MAKERS = {"bigcodec": bigcodec}

if __name__ == "__main__":
    main(*sys.argv[1:])
