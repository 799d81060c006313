"""Start of training from a checkpoint instead of random weights."""

from __future__ import annotations

from typing import Any

from torch import nn

from audiotok.codec import registry
from audiotok.errors import RecipeError
from audiotok.training import decoder, families
from audiotok.training.recipe import Recipe


def complete(content: dict[str, Any]) -> None:
    """Fills in `family` and `model` of a recipe from its checkpoint, if they are missing.

    Raises:
        AudiotokError: the checkpoint cannot be loaded.
    """
    name = content.get("start_from")
    if content.get("family") == families.DECODER:
        if name is None:
            raise RecipeError("family decoder needs start_from: the codec whose codes stay")
        model = content.get("model")
        if not (isinstance(model, dict) and "codec" in model):
            path = content.get("start_checkpoint")
            decoder.complete(content, registry.load(trusted(name), path, "cpu", quiet=True))
        return
    if name is None or ("family" in content and "model" in content):
        return
    network, family = _load(name, content.get("start_checkpoint"))
    content.setdefault("family", family)
    content.setdefault("model", network.config.model_dump())


def start_from(recipe: Recipe, network: nn.Module) -> None:
    """Copies the weights of the checkpoint into the network; with `quantizer.new`, all except those
    of the quantizer, from any family whose other parts are the same.

    Raises:
        RecipeError: it is of another family, or its sizes are not those of the recipe.
    """
    if recipe.family == families.DECODER:
        return  # the network was built with the weights of its codec
    source, family = _load(recipe.start_from, recipe.start_checkpoint)
    if recipe.quantizer.new and family != recipe.family and hasattr(network, "adopt"):
        try:
            network.adopt(source)
        except ValueError as reason:
            raise RecipeError(f"start_from {recipe.start_from}: {reason}") from reason
        return
    if recipe.quantizer.new:
        source_state, target_state = _without_quantizer(source), _without_quantizer(network)
        for key in sorted(source_state.keys() | target_state.keys()):
            shapes = [
                tuple(state[key].shape) if key in state else None
                for state in (target_state, source_state)
            ]
            if shapes[0] != shapes[1]:
                raise RecipeError(
                    f"{key} has shape {shapes[0]} in this recipe, but {shapes[1]} in start_from "
                    f"{recipe.start_from}: with quantizer.new all parts but the quantizer must "
                    "have the same shapes"
                )
        network.load_state_dict(network.state_dict() | source_state)
        return
    if family != recipe.family:
        raise RecipeError(f"start_from {recipe.start_from} is a {family}, not a {recipe.family}")
    if source.config != recipe.model:
        source_state, target_state = source.config.model_dump(), recipe.model.model_dump()
        key = next(key for key in target_state if target_state[key] != source_state[key])
        raise RecipeError(
            f"model.{key} is {target_state[key]}, but {source_state[key]} in start_from "
            f"{recipe.start_from}: leave `model` out to take the checkpoint's"
        )
    network.load_state_dict(source.state_dict())


def _without_quantizer(network: nn.Module) -> dict[str, Any]:
    state = network.state_dict()
    return {key: value for key, value in state.items() if not key.startswith("quantizer.")}


def trusted(name: str) -> str:
    """`start_from` for the registry. A recipe may name a file of weights, which has no code; any
    other name in a recipe remains `Recorded`."""
    return str(name) if registry.is_weights(name) else name


def _load(name: str, checkpoint: str | None) -> tuple[nn.Module, str]:
    codec = registry.load(trusted(name), checkpoint, "cpu", quiet=True, autoencoder=True)
    network = getattr(codec, "network", None)
    if not hasattr(network, "config"):
        raise RecipeError(
            f"start_from {name} has no network whose encoder and codebooks can be trained on; "
            "its decoder alone may be: family=decoder (recipe finetune: axes.learns=decoder)"
        )
    return network, codec.card.family
