"""What comes out of a run: weights as safetensors, with what their codec needs to know."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from audiotok import checkpoints
from audiotok.training.recipe import Recipe


def weights(path: Path, recipe: Recipe, network: nn.Module, step: int) -> None:
    """Writes float32; `audiotok.load(path)` makes a codec of it, `Codec.save` halves it."""
    metadata = {
        "family": recipe.family,
        "name": recipe.name,
        "config": recipe.model.model_dump_json(),
        "step": str(step),
    }
    checkpoints.save(path, network.state_dict(), metadata)


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
