"""Writes golden/PACKAGE.safetensors: what official packages gave for weights and sound by seed.

    python tests/official/make_golden.py dac snac speechtokenizer    # where they are installed

Beside codes and the first samples of the sound, a file holds what no seed gives: the last layer of
the encoder, set so that each channel of the latents has mean 0 and variance 1, and the mean and
covariance of what each codebook gets, from which its codewords are drawn.
"""

import datetime
import importlib
import importlib.metadata
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import official_weights

FOLDER = Path(__file__).with_name("golden")
DISTRIBUTIONS = {"dac": "descript-audio-codec"}
SECONDS, SAMPLES = 4, 4000


def main():
    for package in sys.argv[1:]:
        make(package)


@torch.no_grad()
def make(package):
    codec, config = official_weights.CASES[package]
    module = importlib.import_module(package)
    tokenizer = package == "speechtokenizer"
    model = {"dac": "DAC", "snac": "SNAC", "speechtokenizer": "SpeechTokenizer"}[package]
    model = getattr(module, model)
    model = (model(config) if tokenizer else model(**config)).eval()
    state = model.state_dict()
    drawn = {k: v for k, v in state.items() if v.is_floating_point() and not derived(k)}
    model.load_state_dict(
        state | {k: official_weights.weight(k, v.shape) for k, v in drawn.items()}
    )
    rate = config.get("sample_rate", config.get("sampling_rate"))
    waveform = official_weights.sound(rate, SECONDS)
    unit = int(np.prod(config.get("encoder_rates", config.get("strides")))) * 4
    waveform = waveform[..., : waveform.shape[-1] // unit * unit]
    kept = {}
    stages = model.quantizer.vq.layers if tokenizer else model.quantizer.quantizers
    last = model.encoder.model[-1].conv.conv if tokenizer else model.encoder.block[-1]
    normalise(model, last, waveform, kept)
    latents = residual = model.encoder(waveform)
    for stage, stride in zip(stages, config.get("vq_strides", [1] * len(stages)), strict=True):
        pooled = torch.nn.functional.avg_pool1d(residual, stride, stride)
        rows = (pooled if tokenizer else stage.in_proj(pooled))[0].T
        table = stage._codebook.embed if tokenizer else stage.codebook.weight
        name = next(k for k, v in model.state_dict().items() if v.data_ptr() == table.data_ptr())
        mean, spread = rows.mean(0), np.cov(rows.double().numpy().T)
        root = torch.from_numpy(np.linalg.cholesky(spread + 1e-6 * np.eye(len(spread)))).float()
        kept |= {f"mean {name}": mean, f"root {name}": root}
        table.copy_(official_weights.codebook(name, table.shape, mean, root))
        if tokenizer:
            stage._codebook.inited.fill_(1)
            found = table[torch.cdist(rows, table).argmin(1)].T[None]
        else:
            near = torch.nn.functional.normalize(rows) @ torch.nn.functional.normalize(table).T
            found = stage.out_proj(table[near.argmax(1)].T[None])
        residual = residual - found.repeat_interleave(stride, -1)
    codes, decoded = outputs(package, model, waveform)
    for k, row in enumerate(codes):
        print(package, k, len(row), "codes", row.unique().numel(), "distinct")
    kept |= {f"codes {k}": row.to(torch.int16) for k, row in enumerate(codes)}
    kept["sound"], kept["latents"] = decoded[0, 0, :SAMPLES].clone(), latents[0, :, :64].clone()
    about = {
        "codec": codec,
        "package": DISTRIBUTIONS.get(package, package),
        "version": importlib.metadata.version(DISTRIBUTIONS.get(package, package)),
        "torch": torch.__version__,
        "date": datetime.date.today().isoformat(),
        "length": str(waveform.shape[-1]),
        "shapes": json.dumps({k: list(v.shape) for k, v in drawn.items()}),
        "peak": repr(float(decoded.abs().max())),
    }
    FOLDER.mkdir(exist_ok=True)
    tensors = {k: v.contiguous() for k, v in kept.items()}
    save_file(tensors, FOLDER / f"{package}.safetensors", about)


def derived(name):
    """State that is not drawn by seed: codebooks and what training counts."""
    return "codebook" in name or name.endswith(("inv_freq", "cluster_size", "embed_avg", "inited"))


def normalise(model, last, waveform, kept):
    latents = model.encoder(waveform)
    mean, spread = latents.mean((0, 2)), latents.std((0, 2))
    for key, value in last.named_parameters():
        if key.endswith(("weight_g", "original0")):
            value.div_(spread[:, None, None])
        elif key == "bias":
            value.sub_(mean).div_(spread)
        else:
            continue
        name = next(k for k, v in model.state_dict().items() if v.data_ptr() == value.data_ptr())
        kept[f"weight {name}"] = value.clone()


def outputs(package, model, waveform):
    """Codes of each codebook (T_k,), and the sound made of them (1, 1, L)."""
    if package == "dac":
        codes = model.encode(waveform)[1]
        return list(codes[0]), model.decode(model.quantizer.from_codes(codes)[0])
    if package == "snac":
        codes, plain = model.encode(waveform), torch.randn
        torch.randn = lambda shape, **_: torch.zeros(shape)
        try:
            return [row[0] for row in codes], model.decode(codes)
        finally:
            torch.randn = plain
    codes = model.encode(waveform)
    return list(codes[:, 0]), model.decode(codes)


if __name__ == "__main__":
    main()
