"""The full state of a run on disk: written completely or not at all, read without running code."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from audiotok.errors import RecipeError
from audiotok.system.files import replacing
from audiotok.training.processes import ProcessGroup


class Stateful(Protocol):
    """Modules and optimizers."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> Any: ...


def save(
    path: Path, parts: Mapping[str, Stateful], progress: Mapping[str, Any], group: ProcessGroup
) -> None:
    """Writes the parts, the progress (plain values), and the random states of all processes."""
    random_states = group.objects(random_state())
    if group.is_main:
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"progress": dict(progress), "random": random_states}
        with replacing(path, RecipeError) as file:
            torch.save(state, file)
    group.wait()


def load(path: Path, parts: Mapping[str, Stateful], group: ProcessGroup) -> dict[str, Any]:
    """Restores the state, and returns the progress.

    Raises:
        RecipeError: the file is damaged, or of a run with more or fewer processes.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        random_states = state["random"]
        for name, part in parts.items():
            part.load_state_dict(state[name])
        progress = dict(state["progress"])
        if len(random_states) == group.count:
            set_random_state(random_states[group.rank])
    except Exception as error:  # a damaged file may raise anything
        raise RecipeError(
            f"{path} cannot be read ({type(error).__name__}): it is damaged, or of another "
            "version; start anew with --fresh"
        ) from error
    if len(random_states) != group.count:
        raise RecipeError(
            f"{path} is of {len(random_states)} processes, this run has {group.count}: "
            "go on with as many, or start anew with --fresh"
        )
    return progress


def random_state() -> dict[str, Any]:
    """The random states of torch (CPU and GPU), numpy and Python, as plain values and tensors."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    version, internal, following = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "numpy": [kind, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
        "python": [version, list(internal), following],
    }


def set_random_state(state: Mapping[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    kind, keys, *others = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *others))
    version, internal, following = state["python"]
    random.setstate((version, tuple(internal), following))


def seed_everything(seed: int) -> None:
    """Sets the random seeds of torch, numpy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
