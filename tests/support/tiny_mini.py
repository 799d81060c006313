"""Tiny mini codecs with random weights: networks and files as `audiotok train` writes them."""

import torch

from audiotok.codec import checkpoints
from audiotok.nn.mini import MiniConfig, MiniNetwork

QUANTIZERS = {
    "vq": {"kind": "vq", "codebook_size": 32},
    "rvq": {"kind": "rvq", "num_codebooks": 4, "codebook_size": 32},
    "projected": {"kind": "rvq", "num_codebooks": 2, "codebook_size": 32, "codebook_dim": 6},
    "strided": {
        "kind": "rvq",
        "num_codebooks": 3,
        "codebook_size": 32,
        "frames_per_code": [4, 2, 1],
    },
    "factorized": {
        "kind": "factorized",
        "num_codebooks": 3,
        "codebook_size": 32,
        "codebook_dim": 4,
    },
    "grouped": {"kind": "grouped", "num_codebooks": 2, "codebook_size": 32},
    "fsq": {"kind": "fsq", "levels": [4, 4, 4]},
    "lfq": {"kind": "lfq", "bits": 8},
}


def config(kind):
    return MiniConfig(
        quantizer=QUANTIZERS[kind],
        strides=(2, 4, 5),
        sample_rate=8000,
        dimension=8,
        num_filters=2,
        num_lstm_layers=1,
        backbone_dim=64,
        backbone_intermediate_dim=32,
        backbone_layers=1,
    )


def network(kind, seed=0):
    """Codebooks drawn from latents, less what the codebooks before found."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built = MiniNetwork(config(kind))
        with torch.no_grad():
            noise = 0.1 * torch.randn(1, 1, 40 * 400)
            latents = built.encoder(noise)
            if kind in ("vq", "rvq", "projected", "strided"):
                quantizer = built.quantizer
                found = quantizer.encode(latents)
                for index, codebook in enumerate(quantizer.codebooks):
                    rows, _ = list(quantizer.searched(latents, found))[index]
                    codebook.copy_(rows[torch.randperm(len(rows))[: len(codebook)]])
                    found = quantizer.encode(latents)
            elif kind == "grouped":
                rows = latents[0].T.view(-1, 2, 4)[torch.randperm(400)[:32]]
                built.quantizer.codebooks.copy_(rows.transpose(0, 1))
    return built


def write(folder, kind, seed=0, name=None):
    """A file of weights; its path."""
    built = network(kind, seed)
    metadata = {
        "family": "mini",
        "name": name or f"tiny-{kind}",
        "config": built.config.model_dump_json(),
        "step": "7",
    }
    path = folder / f"{kind}-{seed}.safetensors"
    checkpoints.save(path, built.state_dict(), metadata)
    return path
