"""A recipe so small that a run takes seconds, and a corpus of tones for it."""

import copy

import numpy as np
import soundfile
import torch
import yaml

from audiotok.codec import checkpoints

TINY = {
    "name": "tiny",
    "family": "wavtokenizer",
    "steps": 8,
    "validate_every": 4,
    "trackers": [],
    "model": {
        "sample_rate": 8000,
        "strides": [2, 4, 4, 5],
        "dimension": 8,
        "codebook_size": 16,
        "num_filters": 2,
        "num_lstm_layers": 1,
        "backbone_dim": 32,
        "backbone_intermediate_dim": 32,
        "backbone_layers": 1,
        "num_conditions": 1,
    },
    "data": {
        "corpus": "",
        "validation_fraction": 0.34,
        "crop_seconds": 0.5,
        "batch_size": 2,
        "workers": 1,
    },
    "losses": {"mel_bands": {256: 20}, "mel": 1.0, "stft": 0.5, "commitment": 0.25},
    "optimizer": {
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "warmup_steps": 2,
        "clip_norm": 1.0,
    },
    "quantizer": {"start_step": 3, "kmeans_latents": 60, "kmeans_iterations": 3},
}

ADVERSARIAL = {
    "discriminators": [
        {
            "kind": "multi_period",
            "settings": {"periods": [2, 3], "channels": [2, 2, 2, 2, 2]},
            "reduction": "mean",
        },
        {
            "kind": "multi_resolution",
            "settings": {"windows": [128], "channels": 2},
            "start_step": 2,
            "feature_matching": 0.0,
        },
    ],
    "discriminator_optimizer": {"learning_rate": 1e-3, "clip_norm": 1.0},
}


# Adam makes full steps of mere rounding where a gradient is 0, as that of a bias before a
# normalisation is: runs that differ in the rounding of sums are compared at small rates.
SLOW = {
    "optimizer": {"learning_rate": 1e-6},
    "discriminator_optimizer": {"learning_rate": 1e-6},
}


def write_corpus(folder):
    """Three speakers, two clips each, at two rates; one shorter than a crop, one in stereo."""
    rng = np.random.default_rng(0)
    rows = ["audio\tspeaker"]
    for index in range(6):
        rate, seconds = (8000, 1.5) if index % 2 else (16000, 0.3 if index == 2 else 1.0)
        time = np.arange(int(rate * seconds)) / rate
        tone = 0.3 * np.sin(2 * np.pi * (150 + 60 * index) * time) * (1 + np.sin(9 * time)) / 2
        tone += 0.01 * rng.standard_normal(len(time))
        sound = np.stack([tone, tone], axis=1) if index == 3 else tone
        soundfile.write(folder / f"{index}.wav", sound, rate)
        rows.append(f"{index}.wav\tspeaker{index // 2}")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n")
    return folder


def write_recipe(path, corpus, **changes):
    """TINY on that corpus, with other sections in place of its own or laid over them."""
    content = copy.deepcopy(TINY)
    content["data"]["corpus"] = str(corpus)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(content.get(key), dict):
            content[key].update(value)
        else:
            content[key] = value
    path.write_text(yaml.safe_dump(content))
    return path


def same_state(one, other):
    """Whether two states of runs are equal bit for bit, but for the seconds they took."""
    first, second = (torch.load(path, weights_only=True) for path in (one, other))
    for state in (first, second):
        del state["progress"]["seconds"]
    return _same(first, second)


def assert_close_states(one, other):
    """Of SLOW runs that differ in the rounding of sums alone: gradients, codebooks, and so on."""
    one, other = (torch.load(path, weights_only=True) for path in (one, other))
    for part in ("codebooks", "usage"):
        for key in one.get(part, {}):
            _assert_close(one[part][key], other[part][key], f"{part}.{key}")
    for part in ("optimizer", "discriminator_optimizer"):
        for index, moments in one[part]["state"].items():
            found = other[part]["state"][index]["exp_avg"]
            _assert_close(moments["exp_avg"], found, f"{part}.{index}")


def _assert_close(expected, found, name):
    if expected.dtype == torch.uint8:  # of a random generator
        assert torch.equal(expected, found), name
        return
    difference = (expected.double() - found.double()).abs().max()
    most = 1e-2 * expected.double().abs().max() + 1e-6
    assert difference <= most, f"{name}: {difference} > {most}"


def same_tensors(one, other):
    """Whether two safetensors files hold the same bits."""
    return _same(*(checkpoints.read_state(path) for path in (one, other)))


def _same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other
