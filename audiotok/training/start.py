"""Going on from a checkpoint instead of random weights."""

from __future__ import annotations

from typing import Any

from torch import nn

from audiotok import registry
from audiotok.errors import RecipeError
from audiotok.training.recipe import Recipe


def complete(content: dict[str, Any]) -> None:
    """Fills in `family` and `model` of a recipe that leaves them to its checkpoint.

    Raises:
        AudiotokError: the checkpoint cannot be loaded.
    """
    name = content.get("start_from")
    if name is None or ("family" in content and "model" in content):
        return
    network, family = _load(name, content.get("start_checkpoint"))
    content.setdefault("family", family)
    content.setdefault("model", network.config.model_dump())


def start_from(recipe: Recipe, network: nn.Module) -> None:
    """Copies the weights of the checkpoint into the network.

    Raises:
        RecipeError: it is of another family, or its sizes are not those of the recipe.
    """
    found, family = _load(recipe.start_from, recipe.start_checkpoint)
    if family != recipe.family:
        raise RecipeError(f"start_from {recipe.start_from} is a {family}, not a {recipe.family}")
    if found.config != recipe.model:
        theirs, ours = found.config.model_dump(), recipe.model.model_dump()
        key = next(key for key in ours if ours[key] != theirs[key])
        raise RecipeError(
            f"model.{key} is {ours[key]}, but {theirs[key]} in start_from {recipe.start_from}: "
            "leave `model` out to take the checkpoint's"
        )
    network.load_state_dict(found.state_dict())


def _load(name: str, checkpoint: str | None) -> tuple[nn.Module, str]:
    codec = registry.load(name, checkpoint, quiet=True)
    network = getattr(codec, "network", None)
    if not hasattr(network, "config"):
        raise RecipeError(f"start_from {name} has no network that can be trained on")
    return network, codec.card.family
