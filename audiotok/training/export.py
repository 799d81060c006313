"""Export of weights as safetensors, with the metadata that their codec needs."""

from __future__ import annotations

import json
from pathlib import Path

from torch import nn

from audiotok.codec import checkpoints, registry
from audiotok.training import start
from audiotok.training.recipe import Recipe


def weights(path: Path, recipe: Recipe, network: nn.Module, step: int) -> None:
    """Writes float32 weights, which `audiotok.load(path)` loads; `Codec.save` can store float16.

    Weights that were trained without a quantizer are marked: `load` refuses them, and `start_from`
    of a recipe accepts them.
    """
    metadata = {
        "family": recipe.family,
        "name": recipe.name,
        "config": network.config.model_dump_json(),
        "step": str(step),
        "training_data": json.dumps(training_data(recipe)),
    }
    if recipe.quantizer.start_step is None:
        metadata |= checkpoints.AUTOENCODER
    state = network.exported() if hasattr(network, "exported") else network.state_dict()
    checkpoints.save(path, state, metadata)


def training_data(recipe: Recipe) -> list[str]:
    """Training data of the weights, for their card: the corpora, and those of `start_from`."""
    corpora, clips = [_published(corpus) for corpus in recipe.data.corpora], recipe.data.clips
    if clips:
        corpora[0] += f", {len(clips)} clips of it"
    learned = corpora
    if recipe.start_from:
        card = registry.find_card(start.trusted(recipe.start_from))
        learned += card.training_data or (f"unknown: what {card.name} was trained on",)
    return learned


def _published(corpus: str) -> str:
    """The name of a corpus; of an absolute path only the last two parts."""
    return "/".join(Path(corpus).parts[-2:]) if Path(corpus).is_absolute() else corpus


def facts(recipe: Recipe, network: nn.Module, sizes: list[int]) -> dict[str, str]:
    """Sizes and rates of a network, for its card."""
    rate = recipe.model.sample_rate
    count = sum(parameter.numel() for parameter in network.parameters())
    return {
        "Sample rate": f"{rate} Hz",
        "Frames per second": f"{rate / network.hop_length:g}",
        "Codebooks": " + ".join(map(str, sizes)),
        "Parameters": f"{count:,}",
    }
